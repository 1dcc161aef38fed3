r"""Entries: requests as the access log has them, by column.

Pure. A line has the values of `FIELDS` in their order, with the byte 0x1f between them: no value can hold it, since Envoy
answers 400 to headers with control bytes before anything is logged. All text is a client's: it is data, never a name.
Next room: `traffic.delta`.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter

import msgspec

from seawall.kit.digest import digest

SEPARATOR = "\x1f"
FIELDS = (
    "ended",
    "took",
    "address",
    "ja4",
    "version",
    "method",
    "host",
    "target",
    "agent",
    "fetch",
    "language",
    "accept",
    "encoding",
    "hints",
    "route",
    "status",
    "flags",
    "received",
    "sent",
    "refused",
)
"""The log's columns. `ended` is when the answer was complete (seconds of the epoch), `took` milliseconds. `flags` are Envoy's."""
COLUMNS = (
    "address",
    "ja4",
    "version",
    "method",
    "host",
    "path",
    "query",
    "agent",
    "fetch",
    "language",
    "headers",
    "route",
    "status",
    "refused",
)
"""What is known of a request afterwards. `path` is a template: numbers and long ids are `*`. `query` names its parameters,
without values. `headers` says which of the headers that browsers send were there. `refused` is the reference
that a refusal of ours carries."""
NOTHING = "-"
"""What Envoy writes for a value that is not there."""
LONGEST = 256
MOST_HEADS = 8
MOST_READ = 2_500
"""Of more lines at once, so many are read in full. What is busiest and how much it was is counted over all of them."""
COUNTED = ("address", "ja4", "host", "agent", "route", "status", "flags")
"""The columns that all entries have, however many there are."""
_END = f"{SEPARATOR}\n{SEPARATOR}"


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A request that changes nothing, to be made once more for practice: no header of it but these, no value of its query."""

    method: str
    host: str
    target: str
    agent: str


class Entries(msgspec.Struct, frozen=True, kw_only=True):
    """Requests, by column; `refused` counts lines that were none, `heads` are a few of the requests as they were written.

    Many entries at once have only the columns `COUNTED`, and `path` where its values are few; `sample` has all columns, of some.
    """

    columns: dict[str, Sequence[str]]
    ended: Sequence[float]
    seconds: Sequence[float]
    refused: int = 0
    heads: tuple[Head, ...] = ()
    sample: "Entries | None" = None

    def __len__(self) -> int:
        return len(self.ended)


MOST_COUNTED = 5_000
"""Of more lines at once, so many are looked at, in blocks; the rest is counted."""
_BLOCKS = 250
NONE = Entries(columns=dict.fromkeys((*COLUMNS, "flags"), ()), ended=(), seconds=())


def thinned(data: bytes) -> tuple[bytes, float]:
    """Take some of the lines where there are many, and say for how many each of them stands: their number stays exact.

    Blocks, since to find single lines costs as much as to read them; each begins where a line does.
    """
    lines = data.count(b"\n")
    if lines <= MOST_COUNTED:
        return data, 1.0
    stretch = len(data) // _BLOCKS
    length = stretch * MOST_COUNTED // lines
    blocks, end = [], 0
    for number in range(_BLOCKS):
        start = data.find(b"\n", number * stretch) + 1 if number * stretch > end else end
        end = max(start, data.find(b"\n", start + length) + 1)
        blocks.append(data[start:end])
    taken = b"".join(blocks)
    return taken, lines / max(taken.count(b"\n"), 1)


def parse(data: bytes) -> Entries:
    """Read whole lines of the log. What cannot be read is counted, never raised."""
    text = data.decode("utf-8", "replace")
    try:
        if (columns := _cut(text)) is not None:
            return _entries(columns, 0)
    except ValueError:
        pass  # some line has no time: find out which
    return _parse_each(text)


def _cut(text: str) -> dict[str, Sequence[str]] | None:
    """Cut sound lines at once (all of `parse` then took two thirds of the time): every twentieth part is then a line's end."""
    parts = text.replace("\n", _END).split(SEPARATOR)
    count, width = text.count("\n"), len(FIELDS) + 1
    if len(parts) != count * width + 1 or parts[-1] or parts[width - 1 :: width].count("\n") != count:
        return None
    return {field: parts[place::width][:count] for place, field in enumerate(FIELDS)}


def _parse_each(text: str) -> Entries:
    # Not `splitlines`: it also splits at U+2028 and its like, which clients may send.
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    rows = [row for row in map(_split, lines) if len(row) == len(FIELDS) and _is_sound(row)]
    columns = dict(zip(FIELDS, zip(*rows, strict=True), strict=True)) if rows else {}
    return _entries(columns, len(lines) - len(rows))


def _split(line: str) -> list[str]:
    return line.split(SEPARATOR)


def _entries(raw: Mapping[str, Sequence[str]], refused: int) -> Entries:
    if not raw or not raw["ended"]:
        return msgspec.structs.replace(NONE, refused=refused)
    ended, seconds = _numbers(raw["ended"]), [took / 1000 for took in _numbers(raw["took"])]
    if len(ended) <= MOST_READ:
        return Entries(columns=_columns(raw), ended=ended, seconds=seconds, refused=refused, heads=_heads(raw))
    pick = itemgetter(*scattered(len(ended), MOST_READ))
    some = {field: pick(column) for field, column in raw.items()}
    sample = Entries(columns=_columns(some), ended=pick(ended), seconds=pick(seconds))
    return Entries(
        columns=_counted(raw), ended=ended, seconds=seconds, refused=refused, heads=_heads(some), sample=sample
    )


def scattered(size: int, most: int) -> list[int]:
    """Choose so many places, one of each stretch and without rhythm: every n-th would meet a page's parts always at the same."""
    step = size / most
    return [int((number + (number * 0.6180339887498949) % 1.0) * step) for number in range(most)]


def _columns(raw: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    known = {one: target(one) for one in set(raw["target"])}
    targets = [known[one] for one in raw["target"]]
    return {
        "address": raw["address"],
        "ja4": _each(fingerprint, raw["ja4"]),
        "version": _each(short, raw["version"]),
        "method": _each(short, raw["method"]),
        "host": _each(short, raw["host"]),
        "path": [one[0] for one in targets],
        "query": [one[1] for one in targets],
        "agent": _each(short, raw["agent"]),
        "fetch": _each(short, raw["fetch"]),
        "language": _each(short, raw["language"]),
        "headers": _presence(raw),
        "route": raw["route"],
        "status": raw["status"],
        "refused": _each(short, raw["refused"]),
        "flags": raw["flags"],
    }


def _counted(raw: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    columns = {
        "address": raw["address"],
        "ja4": _each(fingerprint, raw["ja4"]),
        "host": _each(short, raw["host"]),
        "agent": _each(short, raw["agent"]),
        "route": raw["route"],
        "status": raw["status"],
        "flags": raw["flags"],
    }
    targets = set(raw["target"])
    # A flood may ask for another target each time: taking them all apart would cost more than all else.
    if len(targets) <= MOST_READ:
        known = {one: target(one)[0] for one in targets}
        columns["path"] = [known[one] for one in raw["target"]]
    return columns


def _heads(raw: Mapping[str, Sequence[str]]) -> tuple[Head, ...]:
    """Take a few of the requests that only read. What a query says may be a secret, what it is called is not."""
    size = len(raw["method"])
    found: list[Head] = []
    for place in range(0, size, max(1, size // MOST_HEADS)):
        method, host, target = raw["method"][place], raw["host"][place], raw["target"][place]
        if method in ("GET", "HEAD") and host != NOTHING and len(target) < LONGEST and len(found) < MOST_HEADS:
            path, mark, query = target.partition("?")
            names = "&".join(f"{one.partition('=')[0]}=1" for one in query.split("&", 32)) if query else ""
            agent = raw["agent"][place]
            found.append(
                Head(method=method, host=host, target=path + mark + names, agent="" if agent == NOTHING else agent)
            )
    return tuple(found)


def _each(change: Callable[[str], str], values: Sequence[str]) -> Sequence[str]:
    """Change each value; each distinct one is worked out once."""
    known = {value: change(value) for value in set(values)}
    return [known[value] for value in values]


def _presence(raw: Mapping[str, Sequence[str]]) -> Sequence[str]:
    seen = zip(*(raw[field] for field in ("accept", "language", "encoding", "hints", "fetch")), strict=True)
    return ["".join("0" if value == NOTHING else "1" for value in one) for one in seen]


def _numbers(texts: Sequence[str]) -> list[float]:
    """Read times; raises ValueError where one is none. `float` alone would take `nan`, `1e9` and `inf` too."""
    if not "".join(texts).replace(".", "").isdecimal() or len(max(texts, key=len)) > 24:
        raise ValueError
    return list(map(float, texts))


def _is_sound(row: Sequence[str]) -> bool:
    try:
        _numbers(row[:2])
    except ValueError:
        return False
    return True


def short(text: str) -> str:
    """Bound a value that a client chose; two long ones stay two."""
    if text == NOTHING:
        return ""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 33]}~{digest(text.encode('utf-8', 'replace'))}"


def fingerprint(ja4: str) -> str:
    """Take the parts a and b: Chromium's third part changes with each connection."""
    return short("_".join(ja4.split("_", 2)[:2]))


def target(text: str) -> tuple[str, str]:
    """Take a request target apart: a path with what varies in it as `*`, and the names of the query's parameters."""
    path, _, query = text.partition("?")
    template = "/".join(map(_part, path.split("/", 16)))
    names = sorted({one.partition("=")[0] for one in query.split("&", 32)}) if query else []
    return short(template), short("&".join(names))


def _part(part: str) -> str:
    return "*" if len(part) > 32 or (part and sum(map(str.isdigit, part)) * 2 >= len(part)) else part


def networks(address: str) -> tuple[str, str]:
    """Return the networks that an address is in: the /24 of IPv4 or the /64 of IPv6, the other one empty."""
    if "." in address and ":" not in address:
        return f"{address.rpartition('.')[0]}.0/24", ""
    head, gap, tail = address.partition("::")
    groups = head.split(":") if head else []
    if gap:
        behind = tail.split(":") if tail else []
        groups += ["0"] * (8 - len(groups) - len(behind)) + behind
    return "", ":".join(groups[:4]) + "::/64"
