"""Baseline: what is normal, for a route and for a value of a field, at this hour of the week.

Pure. The rates of an hour go into a histogram of logarithmic buckets; when the hour is over, p95, p99 and the peak of it are kept
for a week. Beside the numbers a few requests of each hour are kept, to replay a verdict on before it may act.
Whoever calls `learn` leaves out what is under a verdict: an attack that is learned is an attack that is allowed.
Bounded: the value that was seen longest ago makes room. Next room: `detect.sight`.
"""

from collections.abc import Mapping, Sequence
from math import ceil, log2

import msgspec

from seawall.detect.columns import Rows, chosen, totals
from seawall.detect.sample import EMPTY, Sample
from seawall.kit.units import Instant, Seconds

HOUR = 3600
WEEK_HOURS = 168
MOST_METERS = 40_000
MOST_SAMPLED_ROUTES = 64
RECENT_REQUESTS = 512
HOUR_REQUESTS = 24
TAKEN_A_SECOND = 8
VALUE_WINDOW = 8
"""Seconds over which the rate of a value is measured: shorter ones make a rare value look bursty."""
LEAST_COUNT = 3
"""A value that was seen less often in its window gets no meter: most values are seen once."""
MOST_VALUES = 500
"""New values of a field that one window may bring."""
VALUE_FIELDS = (
    "address",
    "net24",
    "net64",
    "net56",
    "net48",
    "path",
    "query_shape",
    "ja4",
    "agent",
    "headers",
    "language",
    "token",
    "account",
)
SAMPLE_REFRESH = Seconds(10.0)
_STEPS = 8
"""Buckets of an octave: a quantile is right to 9 %."""


class Normal(msgspec.Struct, frozen=True, kw_only=True):
    """What a rate is normally. `learned` is for how many seconds anybody watched."""

    mean: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    peak: float = 0.0
    learned: Seconds = Seconds(0.0)


class Meter(msgspec.Struct, kw_only=True):
    """The rates of one route or value: this hour's histogram, and what is kept of the hours of a week."""

    hour: int = 0
    buckets: dict[int, int] = {}
    total: float = 0.0
    readings: int = 0
    learned: float = 0.0
    hours: dict[int, Normal] = {}

    def read(self, rate: float, at: Instant, seconds: float) -> None:
        """Take in a rate; put the hour away if it is over."""
        hour = int(at // HOUR)
        if hour != self.hour:
            self._put_away(hour)
        bucket = _bucket(rate)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.total += rate
        self.readings += 1
        self.learned += seconds

    def normal(self, at: Instant) -> Normal:
        """Say what is normal now: this hour so far, the hours just before, and the same hours of last week."""
        hour = int(at // HOUR)
        near = {(hour + step) % WEEK_HOURS for step in (-2, -1, 0, 1)}
        parts = [kept for one, kept in self.hours.items() if one in near]
        if self.readings:
            parts.append(self._now())
        if not parts:
            parts = list(self.hours.values())
        if not parts:
            return Normal()
        return Normal(
            mean=sum(one.mean for one in parts) / len(parts),
            p95=max(one.p95 for one in parts),
            p99=max(one.p99 for one in parts),
            peak=max(one.peak for one in parts),
            learned=Seconds(self.learned),
        )

    def _now(self) -> Normal:
        return Normal(
            mean=self.total / self.readings,
            p95=quantile(self.buckets, 0.95),
            p99=quantile(self.buckets, 0.99),
            peak=quantile(self.buckets, 1.0),
        )

    def _put_away(self, hour: int) -> None:
        if self.readings:
            self.hours[self.hour % WEEK_HOURS] = self._now()
        self.hour, self.buckets, self.total, self.readings = hour, {}, 0.0, 0


def _bucket(rate: float) -> int:
    return ceil(log2(rate) * _STEPS) if rate > 2**-8 else -8 * _STEPS


def quantile(buckets: Mapping[int, int], share: float) -> float:
    """Return the rate below which this share of the readings lies; never less than it is."""
    wanted = share * sum(buckets.values())
    seen = 0
    for bucket in sorted(buckets):
        seen += buckets[bucket]
        if seen >= wanted:
            return float(2.0 ** (bucket / _STEPS)) if bucket > -8 * _STEPS else 0.0
    return 0.0


class Kept(msgspec.Struct, kw_only=True):
    """Requests of a route: the last ones, and a few of each hour of the week."""

    hour: int = 0
    recent: list[tuple[str, ...]] = []
    hours: dict[int, list[tuple[str, ...]]] = {}
    next: int = 0

    def take(self, rows: Sequence[tuple[str, ...]], at: Instant) -> None:
        hour = int(at // HOUR)
        if hour != self.hour:
            step = max(len(self.recent) // HOUR_REQUESTS, 1)
            if self.recent:
                self.hours[self.hour % WEEK_HOURS] = self.recent[::step][:HOUR_REQUESTS]
            self.hour = hour
        for row in rows:
            if len(self.recent) < RECENT_REQUESTS:
                self.recent.append(row)
            else:
                self.recent[self.next] = row
            self.next = (self.next + 1) % RECENT_REQUESTS

    def near(self, at: Instant) -> list[tuple[str, ...]]:
        """Return what was kept of the same hour and its neighbours, and the last ones."""
        hour = int(at // HOUR)
        near = [self.hours.get((hour + step) % WEEK_HOURS, []) for step in (-1, 0, 1)]
        return [*self.recent, *(row for rows in near for row in rows)]


class Learned(msgspec.Struct, kw_only=True):
    """All that is put away: meters by (measure, field, value), the one seen last at the end; requests by route."""

    fields: tuple[str, ...] = ()
    meters: dict[tuple[str, str, str], Meter] = {}
    kept: dict[str, Kept] = {}


class Baseline:
    """Learns what is normal, and says it."""

    def __init__(self, learned: Learned | None = None) -> None:
        self._learned = learned if learned is not None else Learned()
        self._samples: dict[str, tuple[Instant, Sample]] = {}

    def state(self) -> bytes:
        """Put all of it away."""
        return msgspec.msgpack.encode(self._learned)

    @classmethod
    def restore(cls, state: bytes) -> "Baseline":
        """Go on from a state. Raises msgspec.ValidationError for what is none."""
        return cls(msgspec.msgpack.decode(state, type=Learned))

    def __len__(self) -> int:
        return len(self._learned.meters)

    def read(self, measure: str, field: str, value: str, rate: float, at: Instant, *, seconds: float = 1.0) -> None:
        """Take in a rate of a route or value."""
        meters = self._learned.meters
        key = (measure, field, value)
        meter = meters.pop(key, None) or Meter(hour=int(at // HOUR))
        meters[key] = meter
        meter.read(rate, at, seconds)
        if len(meters) > MOST_METERS:
            del meters[next(iter(meters))]

    def normal(self, measure: str, field: str, value: str, at: Instant) -> Normal:
        """Say what is normal for a route or value; of an unknown one, zeros."""
        meter = self._learned.meters.get((measure, field, value))
        return meter.normal(at) if meter is not None else Normal()

    def read_values(self, rows: Rows, at: Instant, seconds: float) -> None:
        """Take in the rates of all values that were seen more than a few times."""
        for field in VALUE_FIELDS:
            counts = totals(rows, field)
            often = sorted(
                ((value, count) for value, count in counts.items() if value and count >= LEAST_COUNT),
                key=lambda item: (item[1], item[0]),
            )
            for value, count in often[-MOST_VALUES:]:
                self.read("requests", field, value, count / seconds, at, seconds=seconds)

    def keep(self, route: str, rows: Rows, fields: tuple[str, ...], at: Instant) -> None:
        """Keep a few requests of a route, evenly taken."""
        learned = self._learned
        if learned.fields != fields:
            learned.fields, learned.kept = fields, {}
        kept = learned.kept.pop(route, None) or Kept(hour=int(at // HOUR))
        learned.kept[route] = kept
        taken = chosen(rows, TAKEN_A_SECOND, kept.next)
        columns = [rows.column(field) for field in fields]
        kept.take([tuple(column[number] for column in columns) for number in taken], at)
        if len(learned.kept) > MOST_SAMPLED_ROUTES:
            del learned.kept[next(iter(learned.kept))]

    def sample(self, route: str, at: Instant) -> Sample:
        """Return normal requests of a route at this hour; those of all routes for one that is too new."""
        made_at, sample = self._samples.get(route, (Instant(-1e18), EMPTY))
        if 0 <= at - made_at < SAMPLE_REFRESH:
            return sample
        kept = self._learned.kept.get(route)
        rows = kept.near(at) if kept is not None else []
        sample = Sample([dict(zip(self._learned.fields, row, strict=True)) for row in rows])
        self._samples[route] = (at, sample)
        if len(self._samples) > MOST_SAMPLED_ROUTES:
            del self._samples[next(iter(self._samples))]
        return sample
