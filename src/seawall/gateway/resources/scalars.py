"""Scalars: the strings and numbers of the Gateway API with their limits.

Pure. The patterns are the API's, with two differences: `\\Z` for `$`, because Python's `$` also matches before a trailing
newline, which a YAML block scalar easily leaves; and HEADER_VALUE is written so that it cannot backtrack exponentially.
"""

import calendar
import re
from typing import Annotated, Final

from msgspec import Meta

from seawall.kit.units import Instant, Seconds

DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z"
DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
HOSTNAME: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
GROUP: Final = r"^\Z|^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\Z"
KIND: Final = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z"
HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+\Z"
HEADER_VALUE: Final = r"^[!-~]+([\t ][!-~]+)*\Z"
DURATION: Final = r"^([0-9]{1,5}(h|m|s|ms)){1,4}\Z"
URI_PATH: Final = r"^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+\Z"
ORIGIN: Final = r"(^\*\Z)|(^(http(s)?):\/\/(((\*\.)?([a-zA-Z0-9\-]+\.)*[a-zA-Z0-9-]+|\*)(:([0-9]{1,5}))?)\Z)"
URI: Final = r"^(([^:/?#]+):)(//([^/?#]*))([^?#]*)(\?([^#]*))?(#(.*))?"
LISTENER_PROTOCOL: Final = (
    r"^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?\Z|"
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9]+\Z"
)
CONTROLLER: Final = (
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+\Z"
)
ADDRESS_TYPE: Final = (
    r"^Hostname|IPAddress|NamedAddress|"
    r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/[A-Za-z0-9\/\-._~%!$&'()*+,;=:]+\Z"
)
WELL_KNOWN_CA: Final = (
    r"^(System|([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
    r"/([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]))\Z"
)
LABEL_VALUE: Final = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?\Z"
TIME: Final = r"^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)\Z"
BYTES: Final = r"^[0-9]{1,9}(\.[0-9]{1,3})?(Ki|Mi|Gi|k|M|G)?\Z"
HTTP_URL: Final = r"^https?://[^\s/]+(/\S*)?\Z"
RUNTIME_KEY: Final = r"^[A-Za-z0-9_.\-]+\Z"
TYPE_URL: Final = r"^type\.googleapis\.com/[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*\Z"
FILTER_NAME: Final = r"^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?\Z"
MEDIA_TYPE: Final = r"^[a-z0-9.+-]+/[a-z0-9.+*-]+\Z"
INT32_MAX: Final = 2**31 - 1

Group = Annotated[str, Meta(max_length=253, pattern=GROUP)]
Kind = Annotated[str, Meta(min_length=1, max_length=63, pattern=KIND)]
ObjectName = Annotated[str, Meta(min_length=1, max_length=253)]
Namespace = Annotated[str, Meta(min_length=1, max_length=63, pattern=DNS_LABEL)]
SectionName = Annotated[str, Meta(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
PreciseHostname = Annotated[str, Meta(min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)]
WildcardHostname = Annotated[str, Meta(min_length=1, max_length=253, pattern=HOSTNAME)]
HeaderName = Annotated[str, Meta(min_length=1, max_length=256, pattern=HEADER_NAME)]
HeaderValue = Annotated[str, Meta(min_length=1, max_length=4096, pattern=HEADER_VALUE)]
Duration = Annotated[str, Meta(pattern=DURATION)]
OptionValue = Annotated[str, Meta(min_length=0, max_length=4096)]
LabelValue = Annotated[str, Meta(min_length=0, max_length=63, pattern=LABEL_VALUE)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Weight = Annotated[int, Meta(ge=0, le=1_000_000)]
PositiveInt32 = Annotated[int, Meta(ge=1, le=INT32_MAX)]

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_PART: Final = re.compile(r"([0-9]+)(ms|h|m|s)")
_RFC3339: Final = re.compile(
    r"^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII
)
_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def seconds(duration: str) -> Seconds:
    """Count the seconds of a duration that fits DURATION (GEP-2257: `1h30m`, `250ms`)."""
    return Seconds(sum(int(number) * _UNITS[unit] for number, unit in _PART.findall(duration)))


def timestamp(text: str) -> Instant | None:
    """Read an RFC 3339 time in whole seconds, as Kubernetes keeps them; None if it is none."""
    found = _RFC3339.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in found.group(1, 2, 3, 4, 5, 6))
    if not (
        year and 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1] and hour <= 23 and minute <= 59 and second <= 60
    ):
        return None
    if (month, day) == (2, 29) and not calendar.isleap(year):
        return None
    zone, offset = found.group(7), 0
    if zone not in "Zz":
        offset = int(zone[1:3]) * 3600 + int(zone[4:6]) * 60
    at = calendar.timegm((year, month, day, hour, minute, second))
    return Instant(float(at + offset if zone.startswith("-") else at - offset))
