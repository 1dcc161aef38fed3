"""Hostnames: which one covers which, and who owns one where several could.

Pure. `*` is any hostname; `*.example.com` is every name of one or more labels before `example.com`, never `example.com`.
"""

from collections.abc import Container, Iterator

from seawall.gateway.graph import Hostname

ANY = Hostname("*")


def hostname_of(written: str | None) -> Hostname:
    """Return the canonical form of what was written: lower case, no final dot, `*` for nothing."""
    return Hostname((written or "*").lower().rstrip("."))


def wider(hostname: Hostname) -> Iterator[Hostname]:
    """Yield the wildcards that cover a hostname, itself left out, the most specific first."""
    if hostname == ANY:
        return
    _, dot, rest = hostname.removeprefix("*.").partition(".")
    while dot:
        yield Hostname(f"*.{rest}")
        _, dot, rest = rest.partition(".")
    yield ANY


def covers(wide: Hostname, narrow: Hostname) -> bool:
    """Say whether everything that `narrow` matches is matched by `wide`."""
    if wide in (ANY, narrow):
        return True
    return (
        wide.startswith("*.") and narrow.removeprefix("*").endswith(wide[1:]) and narrow.removeprefix("*") != wide[1:]
    )


def intersect(first: Hostname, second: Hostname) -> Hostname | None:
    """Return what both match: the narrower of the two, or None."""
    if covers(first, second):
        return second
    return first if covers(second, first) else None


def owner(hostname: Hostname, declared: Container[Hostname]) -> Hostname | None:
    """Return the most specific declared hostname that covers this one.

    Gateway API, HTTP listener isolation: "requests SHOULD match at most one Listener", the most specific.
    """
    if hostname in declared:
        return hostname
    return next((wide for wide in wider(hostname) if wide in declared), None)
