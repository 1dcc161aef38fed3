"""People: who asks what: browsers, tools and keys, with the truth about each request, and the normal crowd of a shop.

Nothing here talks to a network. Addresses are made up; the label of a request is known to whoever scores, never to what is scored.
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
