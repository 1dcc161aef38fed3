"""Settings of a source, all with a default that nobody should need to change.

Pure.
"""

import msgspec

from seawall.kit.units import Seconds


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits, so that a mistake (a folder too high up, a generator run wild) is told and not suffered; and times.

    `grace` is how long the objects of a vanished file stay: git and editors remove a file before they write it anew.
    `settle` and `hold_off` bound how long a burst of changes is gathered: until it is quiet for the first, at most the second.
    `rescan` is how often everything is looked at, in case the kernel did not tell (links to elsewhere, network file systems).
    """

    max_file_bytes: int = 16 << 20
    max_files: int = 100_000
    max_objects: int = 200_000
    grace: Seconds = Seconds(0.1)
    settle: Seconds = Seconds(0.002)
    hold_off: Seconds = Seconds(0.05)
    rescan: Seconds = Seconds(60.0)
