"""Registry: one line a detector; `look` asks all of them. Pure."""

from seawall.detect.detector import Detector
from seawall.detect.detectors import (
    cache_busting,
    connections,
    cost,
    flash_crowd,
    http2,
    logins,
    mining,
    outlier,
    prefix,
    retry_storm,
    volume,
)
from seawall.detect.finding import Finding
from seawall.detect.sight import Sight

DETECTORS: tuple[Detector, ...] = (
    flash_crowd.DETECTOR,
    retry_storm.DETECTOR,
    volume.DETECTOR,
    mining.DETECTOR,
    outlier.DETECTOR,
    prefix.DETECTOR,
    cost.DETECTOR,
    cache_busting.DETECTOR,
    logins.DETECTOR,
    connections.DETECTOR,
    http2.DETECTOR,
)


def look(sight: Sight) -> list[Finding]:
    """Ask every detector, in the order of the list."""
    return [found for detector in DETECTORS for found in detector.look(sight)]
