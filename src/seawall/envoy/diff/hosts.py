"""Hosts: route tables, host by host and route by route.

Pure. Routes are told apart by what they say first and by their names second: names carry the number of a rule, so whoever
swaps two rules swaps their names as well. What counts as a reorder are routes whose match is the same as before and that
stand in another order among themselves: all else is insertion and removal.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import msgspec
import re2

from seawall.envoy.diff.notes import Notes
from seawall.envoy.diff.words import OWN_HOSTS, host_name, numbered, opened, plural, raw, some, without
from seawall.envoy.routes import NOT_FOUND
from seawall.rollout.guards.question import Emptied, Pattern
from seawall.xds.resource import Ref, Resource

_Origins = tuple[str, ...]


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """A route, as far as it matters here."""

    name: str
    match: bytes
    content: bytes


def compare(ref: Ref, old: Resource | None, new: Resource | None, origins: _Origins, notes: Notes) -> None:
    """Note what differs between two scopes of one name. Raises DecodeError for bytes that are none."""
    is_whole = not ref.name.endswith("|*")
    if notes.is_brief and is_whole and (old is None or new is None):
        _brief(ref, is_new=old is None, origins=origins, notes=notes)
        return
    before, after = (opened(each).route_configuration if each is not None else None for each in (old, new))
    if before is not None and after is not None:
        parts = [without(each, "virtual_hosts") for each in (before, after)]
        if parts[0] != parts[1]:
            why = "what surrounds the routes applies to all of them"
            name = host_name(ref.name)
            rest = [without(each, "virtual_hosts", "typed_per_filter_config") for each in (before, after)]
            detail = _LIMITS if rest[0] == rest[1] else "Settings around its routes change."
            notes.add(("host", "changed"), name, detail, ("R2", why), (ref, origins))
            notes.touched.add(name)
    hosts = [{one.name: one for one in each.virtual_hosts} if each is not None else {} for each in (before, after)]
    for domain in sorted(hosts[0].keys() | hosts[1].keys()):
        name = host_name(ref.name, "" if is_whole else domain)
        _Host(name=name, domain=domain, ref=ref, origins=origins, notes=notes).compare(*(h.get(domain) for h in hosts))


def _brief(ref: Ref, *, is_new: bool, origins: _Origins, notes: Notes) -> None:
    name = host_name(ref.name)
    notes.touched.add(name)
    if is_new:
        notes.hosts_come.add(name)
        notes.add(("host", "added"), name, "Requests for it are answered.", ("R1", _ADDED), (ref, origins))
    else:
        notes.hosts_gone[name] = ref
        notes.add(("host", "removed"), name, "Requests for it get 404.", ("R1", _REMOVED), (ref, origins))


# What a table says of filters are policies in their places (`envoy.places`), and a constant.
_LIMITS = "What policies do with its requests changes; what limits have counted is forgotten."
_ADDED = "a host comes"
_REMOVED = "a host goes"
_CHANGED = "routes of a host change"


class _Host:
    """One virtual host in comparison."""

    def __init__(self, *, name: str, domain: str, ref: Ref, origins: _Origins, notes: Notes) -> None:
        self._name, self._domain, self._ref, self._origins, self._notes = name, domain, ref, origins, notes

    def compare(self, old: Any, new: Any) -> None:
        """Take it as a host that comes, goes or changes."""
        if self._ref.name.endswith("|*"):
            # What has no routes in the fallback is nobody's host: it answers 404, as one that is not there does.
            lines = [each is not None and self._domain not in OWN_HOSTS and bool(_lines(each)) for each in (old, new)]
            if not any(lines):
                self._answers(old, new)
                return
            old, new = (each if has_routes else None for each, has_routes in zip((old, new), lines, strict=True))
        if old is None or new is None:
            self._whole(old if new is None else new, is_new=old is None)
        else:
            self._both(old, new)

    def _whole(self, host: Any, *, is_new: bool) -> None:
        notes, routes = self._notes, plural(len(_lines(host)), "route")
        notes.touched.add(self._name)
        if is_new:
            notes.hosts_come.add(self._name)
            self._look_at_patterns(host.routes)
            self._say(("host", "added"), self._name, f"{routes}.", _ADDED)
        else:
            notes.hosts_gone[self._name] = self._ref
            self._say(("host", "removed"), self._name, f"{routes} go; requests for it get 404.", _REMOVED)

    def _answers(self, old: Any, new: Any) -> None:
        """The answers to hosts that nobody serves follow from which are served elsewhere."""
        if old is None or new is None or raw(old) == raw(new) or self._notes.hosts_gone or self._notes.hosts_come:
            return
        detail = "Which hostnames get 404 and which 421 changes."
        self._say(("host", "changed"), self._name, detail, "hostnames that are not served here get another answer")

    def _both(self, old: Any, new: Any) -> None:
        if raw(old) == raw(new):
            return
        self._notes.touched.add(self._name)
        if without(old, "routes", "domains") != without(new, "routes", "domains"):
            why = "what surrounds the routes applies to all of them"
            at = (self._ref, self._origins)
            self._notes.add(("host", "changed"), self._name, "Settings of the host change.", ("R2", why), at)
        elif list(old.domains) != list(new.domains):
            self._say(("host", "changed"), self._name, "Its names change.", "a host has other names")
        before, after = _lines(old), _lines(new)
        self._routes(before, after)
        self._look_at_patterns(route for route in new.routes if _key(route) not in {_key(each) for each in old.routes})
        if before and not after:
            refs = (self._ref,)
            gone = Emptied(what="routes", name=self._name, had=len(before), refs=refs, origins=self._origins)
            self._notes.emptied.append(gone)

    def _routes(self, before: list[_Line], after: list[_Line]) -> None:
        same = _paired(before, after)
        matched = set(same.values())
        gone = [line for at, line in enumerate(before) if at not in same]
        come = [line for at, line in enumerate(after) if at not in matched]
        for at, to in same.items():
            if before[at].content != after[to].content:
                self._say(
                    ("route", "changed"), self._route(after[to]), "What it does with a request changes.", _CHANGED
                )
        for line in come:
            self._say(("route", "added"), self._route(line), "Requests that match it go another way.", _CHANGED)
        for line in gone:
            self._say(
                ("route", "removed"), self._route(line), "Requests that matched it fall to what follows.", _CHANGED
            )
        fixed = [(at, to) for at, to in same.items() if before[at].match == after[to].match]
        order = [to for _, to in sorted(fixed)]
        if order != sorted(order):
            self._reordered([before[at].name for at, _ in sorted(fixed)], [after[to].name for to in sorted(order)])

    def _reordered(self, old: list[str], new: list[str]) -> None:
        detail = f"The order of its routes was {some(old)} and becomes {some(new)}: the first one that matches wins."
        why = "a reorder: order is semantics"
        self._notes.add(("route", "reordered"), self._name, detail, ("R2", why), (self._ref, self._origins))

    def _say(self, what: Any, name: str, detail: str, why: str) -> None:
        self._notes.add(what, name, detail, ("R1", why), (self._ref, self._origins))

    def _route(self, line: _Line) -> str:
        return f"{self._name} {line.name}"

    def _look_at_patterns(self, routes: Iterable[Any]) -> None:
        for route in routes:
            for pattern in _patterns(route.match):
                place = f"{self._name} {route.name}"
                found = Pattern(pattern=pattern, size=_program(pattern), place=place, origins=self._origins)
                self._notes.patterns.append(found)


def _lines(host: Any) -> list[_Line]:
    """Return the routes of a host without the 404 that ends every one."""
    return [
        _Line(name=route.name, match=raw(route.match), content=_key(route))
        for route in host.routes
        if route.name != NOT_FOUND
    ]


def _key(route: Any) -> bytes:
    return without(route, "name")


def _paired(before: list[_Line], after: list[_Line]) -> dict[int, int]:
    """Find for each route of before its place in after: by content, by name and match, by match, by name."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    keys = (
        lambda line: line.content,
        lambda line: (line.name, line.match),
        lambda line: line.match,
        lambda line: line.name,
    )
    for key in keys:
        free = [at for at in range(len(before)) if at not in pairs]
        open_ = [at for at in range(len(after)) if at not in taken]
        if not free or not open_:
            break
        places = dict(zip(numbered(key(after[at]) for at in open_), open_, strict=True))
        for at, found in zip(free, numbered(key(before[at]) for at in free), strict=True):
            if found in places:
                pairs[at] = places[found]
                taken.add(places[found])
    return pairs


def _patterns(match: Any) -> Iterable[str]:
    if match.HasField("safe_regex"):
        yield match.safe_regex.regex
    for each in (*match.headers, *match.query_parameters):
        if each.HasField("string_match") and each.string_match.HasField("safe_regex"):
            yield each.string_match.safe_regex.regex


@lru_cache(maxsize=4096)
def _program(pattern: str) -> int:
    """Count the instructions of a pattern's RE2 program; -1 if RE2 does not take it."""
    options = re2.Options()
    options.log_errors = False  # it would write to our standard error
    try:
        return int(re2.compile(pattern, options).programsize)
    except re2.error:
        return -1
