"""Listeners: sockets, their filter chains, and the HTTP filters in these.

Pure. What drains follows Envoy's rule: if two versions of a listener differ in nothing but filter chains, only the chains
that are new or gone lose their connections; anything else drains the socket (Envoy: `ListenerMessageUtil`, and
`docs/configuration/listeners/lds`: "filter chain only update").
"""

import re
from collections.abc import Iterable
from typing import Any

from google.protobuf.message import DecodeError

from seawall.envoy.diff import streams
from seawall.envoy.diff.notes import Action, Notes
from seawall.envoy.diff.words import differing, has_moved, opened, plural, raw, some, unpacked, without
from seawall.rollout.guards.question import NewFilter
from seawall.xds.resource import Ref, Resource

_HCM = "HttpConnectionManager"
_IP = re.compile(r"[0-9.]+|[0-9a-fA-F:.%]*:[0-9a-fA-F:.%\w]*")
_R3 = "a socket changes: every connection of it can be affected"
_WHY: dict[Action, str] = {
    "added": "a filter runs on every request of a listener",
    "removed": "a filter runs on every request of a listener",
    "changed": "a filter runs on every request of a listener",
    "reordered": "a reorder: order is semantics",
}


def kinds(resource: Resource) -> frozenset[str]:
    """Name the kinds of HTTP filters on a listener."""
    try:
        chains = opened(resource).filter_chains
        return frozenset(_kind(each) for chain in chains for each in _http_filters(chain))
    except (DecodeError, KeyError):
        return frozenset()


def sockets(resource: Resource) -> str:
    """Return the address of a listener if it is a name that has to be looked up; else nothing."""
    try:
        address: str = opened(resource).address.socket_address.address
    except DecodeError:
        return ""
    return "" if not address or _IP.fullmatch(address) else f"{resource.name} ({address})"


def compare(ref: Ref, old: Resource | None, new: Resource | None, origins: tuple[str, ...], notes: Notes) -> None:
    """Note what differs between two listeners. Raises DecodeError or KeyError for what cannot be classified."""
    _Listener(ref, origins, notes).compare(*(opened(one) if one is not None else None for one in (old, new)))


class _Listener:
    """One socket in comparison."""

    def __init__(self, ref: Ref, origins: tuple[str, ...], notes: Notes) -> None:
        self._ref, self._origins, self._notes = ref, origins, notes
        self._found: dict[tuple[Action, str, str], list[str]] = {}

    def compare(self, old: Any, new: Any) -> None:
        if old is None:
            self._say("added", _opens(new))
            for chain in new.filter_chains:
                self._look_at(chain)
                self._stream(chain.name, "", streams.of_chain(chain) or "")
        elif new is None:
            self._drain("")
            self._say("removed", "It closes, and its connections with it.")
        elif without(old, *self._apart(old, new)) != without(new, *self._apart(old, new)):
            self._drain("")
            fields = [one for one in differing(old, new) if one != "filter_chains"]
            self._say("changed", f"Its {some(fields)} {_verb(fields)}: all its connections drain.")
            self._chains(old, new)
        else:
            if self._ref.name.startswith("udp/") and raw(old) != raw(new) and streams.of_socket(new) is None:
                # HTTP/3: Envoy changes single filter chains only of sockets that are streams.
                self._drain("")
            self._chains(old, new)
        self._datagrams(old, new)
        if old is not None:
            self._sum_up(old)
        self._tell()

    def _apart(self, old: Any, new: Any) -> tuple[str, ...]:
        """Name the fields that are told apart from the rest of the socket."""
        both_udp = streams.of_socket(old) is not None and streams.of_socket(new) is not None
        return ("filter_chains", "listener_filters") if both_udp else ("filter_chains",)

    def _datagrams(self, old: Any, new: Any) -> None:
        before, after = (streams.of_socket(one) if one is not None else None for one in (old, new))
        if before is None and after is None:
            return
        if before and new is not None and raw(old) != raw(new):
            # To Envoy any change of a UDP socket is a new one.
            self._drain("")
        self._stream("udp", before or "", after or "")

    def _stream(self, chain: str, before: str, after: str) -> None:
        """Say what a TLSRoute, TCPRoute or UDPRoute does that it did not do before."""
        kind, _, hostname = chain.partition("/")
        what = "Datagrams" if kind == "udp" else f"Connections for {hostname}" if hostname else "Connections"
        found = streams.change(what, before, after)
        if found is not None:
            action, detail, because = found
            name = f"{self._ref.name} {hostname}".strip()
            self._notes.add(("route", action), name, detail, because, (self._ref, self._origins))

    def _chains(self, old: Any, new: Any) -> None:
        before, after = ({one.name: one for one in each.filter_chains} for each in (old, new))
        for name in sorted(after.keys() - before.keys()):
            self._look_at(after[name])
            shares = streams.of_chain(after[name])
            if shares is None:
                self._say("changed", f"The filter chain {name} comes.")
            else:
                self._stream(name, "", shares)
        for name in sorted(before.keys() - after.keys()):
            shares = streams.of_chain(before[name])
            if shares != "":
                self._drain(name)
            if shares is None:
                self._say("changed", f"The filter chain {name} goes; its connections drain.")
            else:
                self._stream(name, shares, "")
        for name in sorted(before.keys() & after.keys()):
            if raw(before[name]) != raw(after[name]):
                self._changed(name, before[name], after[name])
        if len(before) != len(old.filter_chains) or len(after) != len(new.filter_chains):
            self._say("changed", "It has filter chains of the same name, which cannot be compared.")

    def _changed(self, name: str, old: Any, new: Any) -> None:
        shares = [streams.of_chain(chain) for chain in (old, new)]
        if shares[0] != "":
            # What closed every connection has none to lose.
            self._drain(name)
        if None in shares or shares[0] == shares[1]:
            self._chain(name, old, new)
        else:
            self._stream(name, shares[0] or "", shares[1] or "")

    def _chain(self, name: str, old: Any, new: Any) -> None:
        """A chain's HTTP filters are R2; whatever else it says decides about connections."""
        managers = [_manager(old), _manager(new)]
        if (
            None in managers
            or without(old, "filters") != without(new, "filters")
            or len(old.filters) != len(new.filters)
        ):
            fields = [one for one in differing(old, new) if one != "filters"] or ["network filters"]
            self._say("changed", f"In its filter chain {name}, {some(fields)} {_verb(fields)}; its connections drain.")
        if None in managers:
            return
        if without(managers[0], "http_filters") != without(managers[1], "http_filters"):
            fields = [one for one in differing(*managers) if one != "http_filters"]
            said = f"In its filter chain {name}, {some(fields)} of HTTP {_verb(fields)}; its connections drain."
            self._say("changed", said)
        self._filters(name, *(list(one.http_filters) for one in managers))

    def _filters(self, chain: str, old: list[Any], new: list[Any]) -> None:
        before, after = ({one.name: one for one in each} for each in (old, new))
        for name in after.keys() - before.keys():
            self._note("added", name, f"{_kind(after[name])} runs on every request.", chain)
            self._introduce(chain, after[name])
        for name in before.keys() - after.keys():
            self._note("removed", name, f"{_kind(before[name])} runs no more.", chain)
        for name in before.keys() & after.keys():
            if raw(before[name]) != raw(after[name]):
                self._note("changed", name, self._how(before[name], after[name]), chain)
                self._introduce(chain, after[name])
        orders = [[one.name for one in each] for each in (old, new)]
        if has_moved(*orders):
            detail = f"The order was {', '.join(orders[0])} and becomes {', '.join(orders[1])}."
            self._note("reordered", "filters", detail, chain)

    def _how(self, old: Any, new: Any) -> str:
        if _kind(old) != _kind(new):
            return f"It was {_kind(old)} and becomes {_kind(new)}."
        try:
            fields = differing(unpacked(old.typed_config), unpacked(new.typed_config))
        except (DecodeError, KeyError):
            fields = []
        return f"Its {some(fields)} {_verb(fields)}." if fields else "Its configuration changes."

    def _look_at(self, chain: Any) -> None:
        for each in _http_filters(chain):
            self._introduce(chain.name, each)

    def _introduce(self, chain: str, one: Any) -> None:
        place = f"{self._ref.name} {chain}"
        self._notes.filters.append(NewFilter(kind=_kind(one), place=place, origins=self._origins))

    def _note(self, action: Action, name: str, detail: str, chain: str) -> None:
        self._found.setdefault((action, name, detail), []).append(chain)

    def _tell(self) -> None:
        """Say once what is the same in several chains."""
        for (action, name, detail), chains in sorted(self._found.items()):
            where = f" ({len(chains)} filter chains)" if len(chains) > 1 else ""
            at = (self._ref, self._origins)
            called = f"{name} on {self._ref.name}"
            self._notes.add(("filter", action), called, f"{detail[:-1]}{where}.", ("R2", _WHY[action]), at)

    def _say(self, action: Action, detail: str) -> None:
        self._notes.add(("listener", action), self._ref.name, detail, ("R3", _R3), (self._ref, self._origins))

    def _sum_up(self, old: Any) -> None:
        """Where every chain that has connections drains, all connections of the socket do."""
        drained = self._notes.drained
        names = [f"{self._ref.name} {one.name}" for one in old.filter_chains if streams.of_chain(one) != ""]
        if names and all(name in drained for name in names):
            for name in names:
                drained.pop(name, None)
            self._drain("")

    def _drain(self, chain: str) -> None:
        if self._ref.name in self._notes.drained:
            return  # all of the socket, this chain included
        self._notes.drained[f"{self._ref.name} {chain}".strip()] = None


def _opens(listener: Any) -> str:
    if streams.of_socket(listener) is not None:
        return "It opens for datagrams."
    return f"It opens with {plural(len(listener.filter_chains), 'filter chain')}."


def _manager(chain: Any) -> Any:
    """Return the HTTP connection manager that is a chain's last filter; None if another one is."""
    if not chain.filters or not chain.filters[-1].typed_config.type_url.endswith(f".{_HCM}"):
        return None
    return unpacked(chain.filters[-1].typed_config)


def _http_filters(chain: Any) -> Iterable[Any]:
    manager = _manager(chain)
    return manager.http_filters if manager is not None else ()


def _kind(one: Any) -> str:
    """Name a filter's kind: `envoy.extensions.filters.http.lua.v3.Lua`."""
    name: str = one.typed_config.type_url
    return name.rsplit("/", 1)[-1] or one.name


def _verb(fields: list[str]) -> str:
    return "changes" if len(fields) == 1 else "change"
