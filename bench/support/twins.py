"""Twins: traffic that looks like an attack and is none. See `bench.support.scenarios` for their table."""

from collections.abc import Callable
from random import Random

import msgspec

from bench.support.people import Client, Play, Request, Second, browser, page, tool, v4


def b1(rng: Random) -> Play:
    """A flash crowd: ten times as many people within a minute, most of them new, most of them for one page."""
    return _crowd(rng, lambda second: min(second + 1, 60) / 60 * 1500)


def b1_at_once(rng: Random) -> Play:
    """The same from one second to the next: a push message."""
    return _crowd(rng, lambda second: 1000.0)


def _crowd(rng: Random, wanted: Callable[[int], float]) -> Play:
    newcomers = [browser(rng, number, 40) for number in range(20_000)]

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        while len(asked) < wanted(second):
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


def b2_office(rng: Random) -> Play:
    """An office: three hundred people behind one address, all with the same managed browser."""
    address, networks = v4(9, 50)
    people = [
        msgspec.structs.replace(
            browser(rng, 0), address=address, networks=networks, agent="Chrome/156", language="en-US", account=""
        )
        for _ in range(300)
    ]

    def play(rng: Random, second: int) -> Second:
        asked: list[Request] = []
        while len(asked) < 120:
            asked += page(rng, rng.choice(people), rng.choice(("/", "/list", "/sale", "/item/3")))
        return Second(requests=asked)

    return play


def b10_release(rng: Random) -> Play:
    """A new release of our own program: nobody knows its name yet, but those who use it."""
    people = [
        msgspec.structs.replace(
            browser(Random(number), number), agent="ShopApp/8", headers="o-app8", ja4="t13d1714h2_new"
        )
        for number in range(200)
    ]

    def play(rng: Random, second: int) -> Second:
        paths = ("/api/cart", "/api/items")
        asked = [
            Request(client=rng.choice(people), label="good", path=rng.choice(paths), fetch="")
            for _ in range(min(second, 30))
        ]
        return Second(requests=asked)

    return play


def b12_new(rng: Random) -> Play:
    """A partner of a new kind: hooks from two addresses that nobody has seen before."""
    partners = [tool(number, 33, agent="PayHook/1", headers="o-hook") for number in range(2)]

    def play(rng: Random, second: int) -> Second:
        return Second(
            requests=[
                Request(client=rng.choice(partners), label="good", method="POST", path="/hooks/pay", fetch="")
                for _ in range(15)
            ]
        )

    return play
