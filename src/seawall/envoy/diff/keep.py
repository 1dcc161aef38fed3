"""Keep: a candidate in which some resources stay as they were, so that the rest may go out. Pure."""

from collections.abc import Iterable

from seawall.envoy.diff.backends import endpoints_of
from seawall.xds.resource import CLUSTER, Ref, Resource
from seawall.xds.snapshot import Change, Snapshot


def kept(base: Snapshot, candidate: Snapshot, refs: Iterable[Ref]) -> Snapshot:
    """Put these back as the base has them, with whatever they need that the candidate no longer has."""
    put: dict[Ref, Resource] = {}
    waiting = [(ref, True) for ref in refs]
    while waiting:
        ref, is_asked = waiting.pop()
        old = base.get(ref)
        if old is None or ref in put or (not is_asked and candidate.get(ref) is not None):
            continue
        put[ref] = old
        waiting += [(need, False) for need in old.refs]
        if ref.type_url == CLUSTER:
            waiting.append((endpoints_of(ref), False))
    return candidate.apply(Change(put=tuple(put.values())))
