"""Columns: requests as `traffic` hands them over: a list for each field, with one value for each request.

Pure. Most of what detectors ask is of one or two fields, and a count over a list is forty times faster than a loop over records.
Next room: `detect.sight`.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, compress

import msgspec

FIELDS = {
    "route": "the route that took it, by name; empty: none",
    "host": "the hostname asked for",
    "method": "the method",
    "path": "the path without its query, or its template",
    "query": "the query, or a digest of it; empty: none",
    "query_shape": "the names in the query, sorted, without their values",
    "status": "the status of the answer, as text",
    "cache": "`hit` where a cache answered, else anything",
    "fetch": "what asks, as Sec-Fetch-Dest says; where a client says nothing, told from the path: `document`, `image`, ...",
    "referer": "whether there is one: `1` or empty",
    "address": "the client's address",
    "net24": "of IPv4 its /24, else empty",
    "net64": "of IPv6 its /64, else empty",
    "net56": "of IPv6 its /56, else empty",
    "net48": "of IPv6 its /48, else empty",
    "ja4": "the first two parts of its JA4: the third one changes when a session is resumed",
    "alpn": "what it offers first",
    "protocol": "what it speaks",
    "agent": "its User-Agent",
    "headers": "a digest of the order of its headers",
    "language": "its Accept-Language",
    "token": "the name or digest of its API key; refused ones vouch for nobody",
    "account": "the name or digest of its login",
    "login": "whom a login tries to be, or a digest of it",
    "verified": "the name of a bot whose address was verified",
    "refused": "what at the edge refused it: a verdict's id, a limit; empty: the origin answered",
}
"""The fields, and what is in them. One that edges do not report may be left out: it reads as empty, and nothing is found in it.
But without `refused` no verdict is seen to work, and each one is taken to leak."""
CLIENT = ("address", "ja4", "agent")
"""What tells clients apart where an address may be shared."""
PAGE_PARTS = frozenset({"script", "style", "image", "font", "xhr", "empty"})
"""`Sec-Fetch-Dest` of what a page loads by itself."""
UNKNOWN_TOKEN = ("401", "403")


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, by column. `seconds` is how long the origin took; `weights` how many requests each one stands for."""

    columns: Mapping[str, Sequence[str]] = {}
    seconds: Sequence[float] = ()
    weights: Sequence[float] | None = None

    def __len__(self) -> int:
        return len(self.seconds)

    def column(self, field: str) -> Sequence[str]:
        """Return the values of a field; of an unknown one, nothing for each request."""
        found = self.columns.get(field)
        return found if found is not None else ("",) * len(self)

    @property
    def each_weight(self) -> Sequence[float]:
        return self.weights if self.weights is not None else (1.0,) * len(self)

    @property
    def total(self) -> float:
        """Count the requests that these stand for."""
        return float(sum(self.weights)) if self.weights is not None else float(len(self))

    def where(self, keep: Sequence[bool]) -> "Rows":
        """Return some of them."""
        return Rows(
            columns={field: list(compress(column, keep)) for field, column in self.columns.items()},
            seconds=list(compress(self.seconds, keep)),
            weights=None if self.weights is None else list(compress(self.weights, keep)),
        )

    def having(self, field: str, value: str) -> "Rows":
        """Return those with a value."""
        return self.where([one == value for one in self.column(field)])

    def thinned(self, most: int) -> "Rows":
        """Return some of them, evenly taken, each standing for several."""
        size = len(self)
        if size <= most:
            return self
        taken = spread(size, most)
        each = size / len(taken)
        weights = self.each_weight
        return Rows(
            columns={field: [column[number] for number in taken] for field, column in self.columns.items()},
            seconds=[self.seconds[number] for number in taken],
            weights=[weights[number] * each for number in taken],
        )

    def records(self) -> list[dict[str, str]]:
        """Write the requests one by one."""
        fields = list(self.columns)
        return [
            dict(zip(fields, values, strict=True)) for values in zip(*(self.columns[f] for f in fields), strict=True)
        ]

    def vouched(self) -> list[bool]:
        """Say of each request whether somebody vouches for it: it has a token, an account or a verified bot's address, and the
        origin has not refused it. What the edge itself refused tells nothing of the token."""
        columns = [self.column(field) for field in ("token", "account", "verified", "status", "refused")]
        return [
            bool(token or account or verified) and (status not in UNKNOWN_TOKEN or refused != "")
            for token, account, verified, status, refused in zip(*columns, strict=True)
        ]


def joined(parts: Sequence[Rows]) -> Rows:
    """Put rows behind each other."""
    filled = [part for part in parts if len(part)]
    if len(filled) <= 1:
        return filled[0] if filled else Rows()
    fields = sorted({field for part in filled for field in part.columns})
    is_weighted = any(part.weights is not None for part in filled)
    return Rows(
        columns={field: [value for part in filled for value in part.column(field)] for field in fields},
        seconds=[one for part in filled for one in part.seconds],
        weights=[weight for part in filled for weight in part.each_weight] if is_weighted else None,
    )


def totals(rows: Rows, field: str) -> dict[str, float]:
    """Count the requests of each value, by weight."""
    if rows.weights is None:
        return dict(Counter(rows.column(field)))
    found: dict[str, float] = {}
    for value, weight in zip(rows.column(field), rows.weights, strict=True):
        found[value] = found.get(value, 0.0) + weight
    return found


def spread(size: int, most: int, salt: int = 0) -> list[int]:
    """Choose so many of `size` numbers, one of each stretch. Every n-th would do, if traffic had no rhythm: a page and its four
    parts have one, and every fifth request would be a page."""
    step = size / most
    if step <= 1:
        return list(range(size))
    return [int((number + _jitter(number + salt)) * step) for number in range(most)]


def chosen(rows: Rows, most: int, salt: int = 0) -> list[int]:
    """Choose requests by weight: one that stands for a thousand is chosen a thousand times as often."""
    if rows.weights is None:
        return spread(len(rows), most, salt)
    sums = list(accumulate(rows.weights))
    if not sums:
        return []
    return [bisect_left(sums, (number + _jitter(number + salt)) / most * sums[-1]) for number in range(most)]


def _jitter(number: int) -> float:
    """Return something between 0 and 1 that has no rhythm, the same each time."""
    return (number * 0.6180339887498949) % 1.0
