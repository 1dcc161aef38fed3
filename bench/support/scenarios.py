"""Scenarios: who asks what and when, with the truth about each request: the shapes of attacks and of their benign twins.

Nothing here talks to a network. A scenario is a function of a seed and a second; tests replay it on event time, a bench may send
it. Addresses are made up; the label of a request is known to whoever scores, never to what is scored.
"""

from collections.abc import Callable
from random import Random
from typing import Literal

import msgspec

Label = Literal["good", "bad"]
FIELDS = (
    "route",
    "host",
    "method",
    "path",
    "query",
    "query_shape",
    "status",
    "cache",
    "fetch",
    "referer",
    "address",
    "net24",
    "net64",
    "net56",
    "net48",
    "ja4",
    "alpn",
    "protocol",
    "agent",
    "headers",
    "language",
    "token",
    "account",
    "login",
    "verified",
)
ROUTE, HOST = "shop", "shop.example"


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody with a tool. `networks` are net24, net64, net56, net48."""

    address: str
    networks: tuple[str, str, str, str]
    ja4: str
    alpn: str
    agent: str
    headers: str
    language: str
    token: str = ""
    account: str = ""
    verified: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A request, with the truth about it. `seconds` is what it costs the origin."""

    client: Client
    label: Label
    path: str = "/"
    method: str = "GET"
    query: str = ""
    shape: str = ""
    status: str = "200"
    cache: str = "miss"
    fetch: str = "document"
    referer: str = ""
    login: str = ""
    seconds: float = 0.02

    def values(self) -> tuple[str, ...]:
        """Write it as values in the order of FIELDS."""
        one = self.client
        protocol = "HTTP/2" if one.alpn == "h2" else "HTTP/1.1"
        about = (
            ROUTE,
            HOST,
            self.method,
            self.path,
            self.query,
            self.shape,
            self.status,
            self.cache,
            self.fetch,
            self.referer,
        )
        tool = (one.ja4, one.alpn, protocol, one.agent, one.headers, one.language)
        return (*about, one.address, *one.networks, *tool, one.token, one.account, self.login, one.verified)


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """What an address does below HTTP in a second."""

    address: str
    opened: float = 0.0
    handshakes: float = 0.0
    without_request: float = 0.0
    resets: float = 0.0
    floods: float = 0.0
    requests: float = 0.0


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """What happens in one second."""

    requests: list[Request]
    peers: list[Peer] = []


Play = Callable[[Random, int], Second]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """A shape of traffic.

    Args:
        begin: makes the play for a seed: what is asked besides the background, by seconds since it began.
        planted: the fields that tell the attack from good traffic; empty: it is no attack.
        ttm: seconds until an enforceable verdict stands.
        lasts: how long it plays.
        has_background: whether the normal crowd is there.
    """

    id: str
    name: str
    begin: Callable[[Random], Play]
    planted: frozenset[str] = frozenset()
    ttm: float = 8.0
    lasts: int = 20
    before: Callable[[Random], Play] | None = None
    """What has been normal besides the background."""

    @property
    def is_attack(self) -> bool:
        return bool(self.planted)


# ── tools ────────────────────────────────────────────────────────────────────────────────────────────────────────

BROWSERS = (
    ("t13d1517h2_8daaf6152771", "h2", "Chrome/156", "o-chrome", 46),
    ("t13d1516h2_8daaf6152771", "h2", "Chrome/155", "o-chrome", 12),
    ("t13d2014h2_a09f3c656075", "h2", "Safari/19", "o-safari", 20),
    ("t13d1715h2_5b57614c22b0", "h2", "Firefox/147", "o-firefox", 9),
    ("t13d1517h2_8daaf6152771", "h2", "Edge/156", "o-chrome", 8),
    ("t13d1713h2_0b21ae8b6db4", "h2", "ShopApp/7", "o-app", 5),
)
LANGUAGES = ("en-US", "en-GB", "de-DE", "fr-FR", "es-ES", "cs-CZ")
PARTS = (
    ("/static/app.js", "script"),
    ("/static/site.css", "style"),
    ("/static/logo.png", "image"),
    ("/static/hero.jpg", "image"),
)


def v4(number: int, prefix: int = 20) -> tuple[str, tuple[str, str, str, str]]:
    """Make an address and its networks of a number."""
    high, middle, low = number >> 16 & 255, number >> 8 & 255, number & 255
    return f"{prefix}.{high}.{middle}.{low}", (f"{prefix}.{high}.{middle}.0/24", "", "", "")


def v6(site: int, net: int, host: int) -> tuple[str, tuple[str, str, str, str]]:
    """Make an address of IPv6 in the network `net` (16 bits) of a site's /48."""
    head = f"2001:db8:{site:x}"
    wide = f"{head}:{net & 0xFF00:x}::/56"
    return f"{head}:{net:x}::{host:x}", ("", f"{head}:{net:x}::/64", wide, f"{head}::/48")


def browser(rng: Random, number: int, prefix: int = 20) -> Client:
    """Make a person with a browser."""
    ja4, alpn, agent, headers, _ = rng.choices(BROWSERS, weights=[one[4] for one in BROWSERS])[0]
    address, networks = v4(number, prefix)
    return Client(
        address=address,
        networks=networks,
        ja4=ja4,
        alpn=alpn,
        agent=agent,
        headers=headers,
        language=rng.choice(LANGUAGES),
        account=f"a{number}" if rng.random() < 0.15 else "",
    )


def tool(
    number: int,
    prefix: int = 90,
    *,
    ja4: str = "t13d1811h1_85036bcba153",
    alpn: str = "h1",
    agent: str = "loadtool/2.1",
    headers: str = "o-tool",
    language: str = "",
    token: str = "",
) -> Client:
    """Make one of a botnet."""
    address, networks = v4(number, prefix)
    return Client(
        address=address,
        networks=networks,
        ja4=ja4,
        alpn=alpn,
        agent=agent,
        headers=headers,
        language=language,
        token=token,
    )


def page(rng: Random, client: Client, path: str) -> list[Request]:
    """Open a page, with what it needs."""
    asked = [
        Request(client=client, label="good", path=path, fetch="document", cache="hit" if rng.random() < 0.7 else "miss")
    ]
    for part, kind in PARTS[: rng.randint(1, 4)]:
        asked.append(
            Request(client=client, label="good", path=part, fetch=kind, cache="hit", referer="1", seconds=0.001)
        )
    return asked


def crowd(rng: Random, *, people: int = 1000, rate: float = 150.0) -> Play:
    """Play the background: people who look at pages, call an API, search and log in."""
    clients = [browser(Random(number), number) for number in range(people)]
    paths = ["/", "/list", "/about", "/sale", *(f"/item/{number % 40}" for number in range(60))]

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        wanted = rng.gauss(rate, rate**0.5)
        while len(asked) < wanted:
            client, dice = rng.choice(clients), rng.random()
            if dice < 0.40:
                asked += page(rng, client, rng.choice(paths))
            elif dice < 0.85:
                path = rng.choice(("/api/cart", "/api/items", "/api/me"))
                asked.append(Request(client=client, label="good", path=path, fetch="empty", referer="1"))
            elif dice < 0.95:
                word = f"q={rng.choice(('shoes', 'hats', 'socks', 'coats'))}"
                took = rng.uniform(0.05, 0.4)
                asked.append(
                    Request(
                        client=client, label="good", path="/search", query=word, shape="q", referer="1", seconds=took
                    )
                )
            else:
                status = "401" if rng.random() < 0.15 else "200"
                asked.append(
                    Request(
                        client=client,
                        label="good",
                        path="/login",
                        method="POST",
                        status=status,
                        referer="1",
                        login=client.address,
                    )
                )
        return Second(requests=asked)

    return play


# ── attacks ──────────────────────────────────────────────────────────────────────────────────────────────────────


def a1(rng: Random) -> Play:
    """One source, one page."""
    bot = tool(rng.randrange(60_000))

    def play(rng: Random, second: int) -> Second:
        return Second(requests=[Request(client=bot, label="bad", path="/")] * 1500)

    return play


def a2(rng: Random) -> Play:
    """A botnet with one tool: nobody of it asks much."""
    bots = [tool(rng.randrange(1 << 24)) for _ in range(2000)]
    path = rng.choice(("/", "/list", "/item/7"))

    def play(rng: Random, second: int) -> Second:
        return Second(requests=[Request(client=rng.choice(bots), label="bad", path=path) for _ in range(1500)])

    return play


def a3(rng: Random) -> Play:
    """The same with a new name and a new query each time."""
    path = rng.choice(("/list", "/sale"))

    def play(rng: Random, second: int) -> Second:
        asked = []
        for _ in range(1500):
            bot = tool(rng.randrange(1 << 24), agent=f"Mozilla/{rng.randrange(1 << 30)}")
            query = f"x={rng.randrange(1 << 30)}"
            asked.append(Request(client=bot, label="bad", path=path, query=query, shape="x"))
        return Second(requests=asked)

    return play


def a4(rng: Random) -> Play:
    """Low and wide: each address asks once, for search facets, with a browser's name."""
    number = 0

    def play(rng: Random, second: int) -> Second:
        nonlocal number
        asked = []
        for _ in range(24):
            number += 1
            bot = tool(
                number * 257,
                ja4="t13d1516h2_8daaf6152771",
                alpn="h2",
                agent=f"Chrome/{rng.randrange(90, 156)}",
                headers="o-chrome",
                language="en-US",
            )
            query = f"facet={rng.randrange(10_000)}&page={rng.randrange(90)}"
            asked.append(
                Request(client=bot, label="bad", path="/search/facets", query=query, shape="facet,page", seconds=0.4)
            )
        return Second(requests=asked)

    return play


def a6(rng: Random) -> Play:
    """Cache busting: one path, never the same query."""
    bots = [tool(rng.randrange(1 << 24), ja4="t13d3112h2_e8f1e7e78f70", agent="curl/8") for _ in range(300)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(
                    client=rng.choice(bots),
                    label="bad",
                    path="/static/hero.jpg",
                    query=f"{rng.randrange(1 << 40):x}",
                    shape="?",
                )
                for _ in range(1000)
            ]
        )

    return play


def a7(rng: Random) -> Play:
    """An expensive page: sixty requests a second that take two seconds each."""
    bots = [tool(rng.randrange(1 << 24)) for _ in range(60)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(
                    client=bot, label="bad", path="/search", query=f"q={rng.randrange(9999)}", shape="q", seconds=2.0
                )
                for bot in bots
            ]
        )

    return play


def a7_browsers(rng: Random) -> Play:
    """The same from tools that look like browsers in every field."""
    bots = [browser(rng, rng.randrange(1 << 24), 91) for _ in range(60)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(
                    client=bot, label="bad", path="/search", query=f"q={rng.randrange(9999)}", shape="q", seconds=2.0
                )
                for bot in bots
            ]
        )

    return play


def a10(rng: Random) -> Play:
    """Rapid reset: streams opened to be reset."""
    addresses = [v4(rng.randrange(1 << 24), 90)[0] for _ in range(3)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[], peers=[Peer(address=one, opened=2, resets=2000, requests=2000, floods=1) for one in addresses]
        )

    return play


def a15(rng: Random) -> Play:
    """Handshakes, and nothing else."""
    addresses = [v4(rng.randrange(1 << 24), 90)[0] for _ in range(10)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[], peers=[Peer(address=one, opened=150, handshakes=150, without_request=150) for one in addresses]
        )

    return play


def a17(rng: Random) -> Play:
    """Credential stuffing: five hundred addresses, a try a minute each."""
    bots = [
        tool(rng.randrange(1 << 24), agent="python-requests/2.32", ja4="t13d1812h1_85036bcba153") for _ in range(500)
    ]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(
                    client=rng.choice(bots),
                    label="bad",
                    path="/login",
                    method="POST",
                    status="401" if rng.random() < 0.95 else "200",
                    login=f"victim{rng.randrange(100_000)}",
                )
                for _ in range(8)
            ]
        )

    return play


def key_holders(rng: Random) -> Play:
    """Partners with a key each, ten requests a second."""
    partners = [tool(number, 30, agent="partner/1", headers="o-partner", token=f"key-{number}") for number in range(6)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(client=partner, label="good", path="/api/stock", fetch="")
                for partner in partners
                for _ in range(max(round(rng.gauss(10, 2)), 0))
            ]
        )

    return play


def a18(rng: Random) -> Play:
    """A valid key, twenty times its use."""
    thief = tool(3, 30, agent="partner/1", headers="o-partner", token="key-3")  # a made-up name
    others = key_holders(rng)

    def play(rng: Random, second: int) -> Second:
        asked = others(rng, second).requests
        return Second(requests=[*asked, *([Request(client=thief, label="bad", path="/api/stock", fetch="")] * 200)])

    return play


def a23(rng: Random) -> Play:
    """Fifty thousand keys in rotation, to flush the buckets of limits."""
    bots = [rng.randrange(1 << 24) for _ in range(50)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(
                    client=tool(rng.choice(bots), token=f"fake-{rng.randrange(50_000)}", agent="rotor/1"),
                    label="bad",
                    path="/api/items",
                    status="401",
                    fetch="",
                )
                for _ in range(1500)
            ]
        )

    return play


def a_prefix(rng: Random) -> Play:
    """One hand with a /48: each of its networks asks little, and its tool says that it is a browser."""
    ja4, alpn, agent, headers, _ = BROWSERS[0]

    def play(rng: Random, second: int) -> Second:
        asked = []
        for _ in range(400):
            address, networks = v6(7, rng.randrange(1 << 16), rng.randrange(1 << 16))
            bot = Client(
                address=address,
                networks=networks,
                ja4=ja4,
                alpn=alpn,
                agent=agent,
                headers=headers,
                language="en-US",
            )
            asked.append(Request(client=bot, label="bad", path=rng.choice(("/", "/list", "/sale", "/about"))))
        return Second(requests=asked)

    return play


# ── benign twins ─────────────────────────────────────────────────────────────────────────────────────────────────


def b1(rng: Random) -> Play:
    """A flash crowd: twenty times as many people within a minute, most of them new, most of them for one page."""
    newcomers = [browser(rng, number, 40) for number in range(20_000)]

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        wanted = min(second + 1, 60) / 60 * 1500
        while len(asked) < wanted:
            client = rng.choice(newcomers)
            asked += page(rng, client, "/promo/summer" if rng.random() < 0.8 else "/list")
        return Second(requests=asked)

    return play


def b2(rng: Random) -> Play:
    """A carrier: eight hundred people behind one address, with sixty kinds of phones."""
    address, networks = v4(77, 50)
    users = []
    for _ in range(800):
        one = browser(rng, 0)
        number = min(int(rng.expovariate(0.08)), 59)
        users.append(
            msgspec.structs.replace(
                one, address=address, networks=networks, agent=f"{one.agent} phone{number}", account=""
            )
        )

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        while len(asked) < 250:
            client = rng.choice(users)
            if rng.random() < 0.5:
                asked += page(rng, client, rng.choice(("/", "/list", "/sale", "/item/3")))
            else:
                asked.append(Request(client=client, label="good", path="/api/items", fetch="empty", referer="1"))
        return Second(requests=asked)

    return play


def b5(rng: Random) -> Play:
    """The origin fails for half a minute, and our own clients ask three times more, all at once."""
    people = [browser(Random(number), number) for number in range(1000)]

    def play(rng: Random, second: int) -> Second:
        if second >= 30:
            return Second(requests=[])
        asked = []
        for _ in range(130):
            client = rng.choice(people)
            path = rng.choice(("/api/cart", "/api/items", "/", "/list"))
            one = Request(client=client, label="good", path=path, fetch="empty", status="503", referer="1", seconds=0.5)
            asked += [one] * 4
        return Second(requests=asked)

    return play


def b10(rng: Random) -> Play:
    """A new release of a page that makes sixty calls for each view, to paths that nobody knows yet."""
    people = [browser(rng, number, 60) for number in range(150)]
    views: list[tuple[int, Client]] = []

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        views[:] = [(left - 1, client) for left, client in views if left > 1]
        for _ in range(3):
            client = rng.choice(people)
            asked += page(rng, client, "/board")
            views.append((3, client))
        for _, client in views:
            for call in range(20):
                asked.append(
                    Request(client=client, label="good", path=f"/api/v2/tile/{call}", fetch="empty", referer="1")
                )
        return Second(requests=asked)

    return play


def b12(rng: Random) -> Play:
    """A partner's batch: one key, two hundred a second, as every night."""
    partner = tool(9, 30, agent="batch/3", headers="o-batch", token="key-batch")  # a made-up name

    def play(rng: Random, second: int) -> Second:
        return Second(requests=[Request(client=partner, label="good", path="/api/export", fetch="")] * 200)

    return play


def b14(rng: Random) -> Play:
    """Privacy browsers: no scripts, no cookies, all alike, behind a few exits that many share."""
    exits = [v4(number, 70) for number in range(6)]
    people = []
    for _ in range(120):
        address, networks = rng.choice(exits)
        people.append(
            Client(
                address=address,
                networks=networks,
                ja4="t13d1715h2_5b57614c22b0",
                alpn="h2",
                agent="Firefox/140",
                headers="o-firefox",
                language="en-US",
            )
        )

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        while len(asked) < 220:
            asked += page(rng, rng.choice(people), rng.choice(("/", "/list", "/sale", "/item/1", "/item/2")))
        return Second(requests=asked)

    return play


TOOL = frozenset({"ja4", "alpn", "protocol", "agent", "headers", "language", "path"})
SCENARIOS: tuple[Scenario, ...] = (
    Scenario(id="A1", name="single-source flood", begin=a1, planted=frozenset({"address"}), ttm=3.0),
    Scenario(id="A2", name="botnet, one tool", begin=a2, planted=TOOL, ttm=5.0),
    Scenario(
        id="A3",
        name="botnet, random agent and query",
        begin=a3,
        planted=(TOOL - {"agent"}) | {"query_shape"},
        ttm=5.0,
    ),
    Scenario(
        id="A4",
        name="low and wide",
        begin=a4,
        planted=frozenset({"path", "query_shape", "ja4", "headers", "language"}),
        ttm=60.0,
        lasts=70,
    ),
    Scenario(id="A6", name="cache busting", begin=a6, planted=TOOL | {"query_shape"}),
    Scenario(id="A7", name="expensive page", begin=a7, planted=TOOL | {"query_shape"}),
    Scenario(
        id="A7b",
        name="expensive page, by browsers",
        begin=a7_browsers,
        planted=frozenset({"address", "path", "query_shape"}),
    ),
    Scenario(id="A10", name="rapid reset", begin=a10, planted=frozenset({"address"})),
    Scenario(id="A15", name="handshake flood", begin=a15, planted=frozenset({"address"})),
    Scenario(id="A17", name="credential stuffing", begin=a17, planted=TOOL | {"method"}, ttm=60.0, lasts=70),
    Scenario(id="A18", name="key abuse", begin=a18, before=key_holders, planted=frozenset({"token"}), lasts=25),
    Scenario(id="A23", name="rotating keys", begin=a23, planted=TOOL),
    Scenario(id="A48", name="one hand with a /48", begin=a_prefix, planted=frozenset({"net48"}), ttm=12.0),
    Scenario(id="B1", name="flash crowd", begin=b1, lasts=60),
    Scenario(id="B2", name="carrier", begin=b2, lasts=30),
    Scenario(id="B5", name="retry storm", begin=b5, lasts=40),
    Scenario(id="B10", name="page with sixty calls", begin=b10, lasts=40),
    Scenario(id="B12", name="batch partner", begin=b12, before=b12, lasts=30),
    Scenario(id="B14", name="privacy browsers", begin=b14, lasts=40),
)


def scenario(name: str) -> Scenario:
    """Find a scenario by its id."""
    return next(one for one in SCENARIOS if one.id == name)
