"""Shape: do the requests of a scope look like people, or like our own clients, rather than like one tool in many hands?

Pure. Previous room: `detect.crowd`. Next room: `detect.guards`.
"""

import msgspec

from seawall.detect.columns import Rows
from seawall.detect.crowd import Crowd
from seawall.detect.scope import Scope
from seawall.detect.sight import Sight


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the requests of a scope look like; shares are of its requests.

    Args:
        people: from clients that also fetch what pages need.
        known: from clients that were here before.
        vouched: with a token, an account, or from a verified bot.
        clients: how many there are.
        busiest: requests a second of the busiest of them.
        prints: distinct pairs of TLS fingerprint and user agent.
        main_print: the share of the commonest of these pairs, `main`.
        accounts: distinct accounts and tokens.
    """

    requests: int = 0
    people: float = 0.0
    known: float = 0.0
    vouched: float = 0.0
    clients: int = 0
    busiest: float = 0.0
    prints: int = 0
    main_print: float = 0.0
    main: tuple[str, str] = ("", "")
    accounts: int = 0


def shape(sight: Sight, scope: Scope, seconds: int = 10) -> Shape:
    """Look at the clients of a scope: at what they ask in it, and at what else they ask."""
    crowd = sight.crowd(seconds)
    return shape_of(sight, crowd, inside(crowd.rows, scope), float(sight.span(seconds)))


def shape_of(sight: Sight, crowd: Crowd, hit: list[bool], seconds: float) -> Shape:
    """Look at the clients of some requests."""
    rows = crowd.rows
    asked: dict[int, int] = {}
    prints: dict[tuple[str, str], int] = {}
    accounts: set[str] = set()
    vouched = 0
    tools = zip(rows.column("ja4"), rows.column("agent"), strict=True)
    holders = zip(rows.column("token"), rows.column("account"), strict=True)
    columns = zip(hit, crowd.of, crowd.vouched, tools, holders, strict=True)
    for is_in, client, is_vouched, tool, (token, account) in columns:
        if not is_in:
            continue
        asked[client] = asked.get(client, 0) + 1
        prints[tool] = prints.get(tool, 0) + 1
        if is_vouched:
            vouched += 1
            accounts.add(token or account)
    requests = sum(asked.values())
    if not requests:
        return Shape()
    main = max(sorted(prints), key=lambda one: prints[one])
    return Shape(
        requests=requests,
        people=sum(count for client, count in asked.items() if crowd.persons[client]) / requests,
        known=sum(count for client, count in asked.items() if sight.is_known(crowd.clients[client].name)) / requests,
        vouched=vouched / requests,
        clients=len(asked),
        busiest=max(asked.values()) / max(seconds, 1.0),
        prints=len(prints),
        main_print=prints[main] / requests,
        main=main,
        accounts=len(accounts),
    )


def inside(rows: Rows, scope: Scope) -> list[bool]:
    """Say of each request whether it is in a scope."""
    keep = [True] * len(rows)
    if scope.route:
        keep = [route == scope.route for route in rows.column("route")]
    for one in scope.match:
        if "/" in one.value and one.field == "address":
            from_network = Scope(match=(one,))
            hits = {value: from_network.holds({one.field: value}) for value in set(rows.column(one.field))}
            keep = [kept and hits[value] for kept, value in zip(keep, rows.column(one.field), strict=True)]
        else:
            keep = [kept and value == one.value for kept, value in zip(keep, rows.column(one.field), strict=True)]
    return keep
