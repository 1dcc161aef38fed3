"""Sample: stored requests of normal times, ready to be asked what share of them a scope would have touched.

Pure. One big integer for each value, one bit for each request: to replay a scope of four fields over 2,000 requests is three
ANDs and a count of bits (0.3 µs), so a miner may ask for every candidate. Previous room: `detect.baseline` keeps the requests.
"""

from collections.abc import Mapping, Sequence

from seawall.detect.scope import Scope, matches

Request = Mapping[str, str]
ENOUGH = 50
"""Fewer stored requests say nothing about a share of 1 %."""


class Sample:
    """Requests of normal times."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self._size = len(requests)
        self._all = (1 << self._size) - 1
        masks: dict[str, dict[str, bytearray]] = {}
        width = (self._size + 7) // 8
        for index, request in enumerate(requests):
            place, bit = index >> 3, 1 << (index & 7)
            for field, value in request.items():
                values = masks.setdefault(field, {})
                mask = values.get(value)
                if mask is None:
                    mask = values[value] = bytearray(width)
                mask[place] |= bit
        self._masks = {
            field: {value: int.from_bytes(mask, "little") for value, mask in values.items()}
            for field, values in masks.items()
        }

    def __len__(self) -> int:
        return self._size

    @property
    def is_enough(self) -> bool:
        return self._size >= ENOUGH

    @property
    def everything(self) -> int:
        """Return the set of all requests; sets are integers, to be joined by `&` and `|`."""
        return self._all

    def having(self, field: str, value: str) -> int:
        """Return the set of requests with a value."""
        return self._masks.get(field, {}).get(value, 0)

    def among(self, scope: Scope) -> int:
        """Return the set of requests in a scope, networks included."""
        found = self.having("route", scope.route) if scope.route else self._all
        for one in scope.match:
            mask = self.having(one.field, one.value)
            if "/" in one.value:
                for value, more in self._masks.get(one.field, {}).items():
                    mask |= more if matches(one, value) else 0
            found &= mask
        return found

    def share(self, found: int) -> float:
        """Return the share of the requests that are in a set; 0 of nothing."""
        return found.bit_count() / self._size if self._size else 0.0

    def impact(self, scope: Scope) -> float:
        """Return the share of the requests that a scope touches."""
        return self.share(self.among(scope))

    def values(self, field: str) -> Mapping[str, int]:
        """Return how often each value of a field is there."""
        return {value: mask.bit_count() for value, mask in self._masks.get(field, {}).items()}


EMPTY = Sample(())
