"""Shape: do the requests of a scope look like people, or like our own clients, rather than like one tool in many hands?

Pure. Previous room: `detect.crowd`. Next room: `detect.guards`.
"""

import msgspec

from seawall.detect.columns import PAGE_PARTS
from seawall.detect.scope import Scope
from seawall.detect.sight import Sight

MOST_BESIDE = 4.0


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
        beside: parts of pages that its clients fetch outside of it, for each request in it; of one client no more than so many.
    """

    requests: float = 0.0
    people: float = 0.0
    known: float = 0.0
    vouched: float = 0.0
    clients: int = 0
    busiest: float = 0.0
    prints: int = 0
    main_print: float = 0.0
    main: tuple[str, str] = ("", "")
    accounts: int = 0
    beside: float = 0.0


def shape(sight: Sight, scope: Scope, seconds: int = 10) -> Shape:
    """Look at the clients of a scope: at what they ask in it, and at what else they ask."""
    crowd = sight.crowd(seconds)
    rows = crowd.rows
    asked: dict[int, float] = {}
    parts: dict[int, float] = {}
    prints: dict[tuple[str, str], float] = {}
    accounts: set[str] = set()
    vouched = 0.0
    weights = rows.each_weight
    ja4, agent, token, account = (rows.column(field) for field in ("ja4", "agent", "token", "account"))
    fetch = rows.column("fetch")
    for number in crowd.inside(scope):
        client, tool = crowd.of[number], (ja4[number], agent[number])
        asked[client] = asked.get(client, 0.0) + weights[number]
        if fetch[number] in PAGE_PARTS:
            parts[client] = parts.get(client, 0.0) + weights[number]
        prints[tool] = prints.get(tool, 0.0) + weights[number]
        if crowd.vouched[number]:
            vouched += weights[number]
            accounts.add(token[number] or account[number])
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
        busiest=max(asked.values()) / float(sight.span(seconds)),
        prints=len(prints),
        main_print=prints[main] / requests,
        main=main,
        accounts=len(accounts),
        beside=sum(
            min(crowd.clients[client].parts - parts.get(client, 0.0), MOST_BESIDE * count)
            for client, count in asked.items()
        )
        / requests,
    )
