"""Detector: a name, what it looks for, and the look. Pure. Next room: `detect.detectors.registry`."""

from collections.abc import Callable

import msgspec

from seawall.detect.finding import Finding
from seawall.detect.sight import Sight


class Detector(msgspec.Struct, frozen=True, kw_only=True):
    """Looks at a second of traffic."""

    name: str
    title: str
    look: Callable[[Sight], list[Finding]]
