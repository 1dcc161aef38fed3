"""Attacks: floods of many shapes, each a function of a seed and a second. See `bench.support.scenarios` for their table."""

from random import Random

from bench.support.people import BROWSERS, Client, Peer, Play, Request, Second, browser, tool, v4, v6


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
