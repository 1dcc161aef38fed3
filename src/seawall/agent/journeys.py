"""Journeys: requests that must work, made by each edge of its own Envoy, past every name server and load balancer.

Speaks HTTP to the listeners of the Envoy beside it. An answer that is not the expected one, or none, is a failure.
"""

import asyncio
import ipaddress
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import structlog

from seawall.agent.admin import Admin, Bound
from seawall.fleet.wire import Journey, Watch
from seawall.kit.errors import UnavailableError
from seawall.kit.units import Seconds

log = structlog.get_logger(__name__)

_TIMEOUT = Seconds(3.0)
_AT_A_TIME = 8
_PORTS = {"http": 80, "https": 443}
_MOST = 200


class Journeys:
    """Makes them again and again while `is_ready`: that an Envoy starts or drains says nothing of its configuration.
    `problem` says which fails, and how; empty if none does."""

    def __init__(self, admin: Admin, is_ready: Callable[[], bool]) -> None:
        self.made = 0
        self.failed = 0
        self.problem = ""
        self._admin = admin
        self._is_ready = is_ready
        self._watch = Watch()
        self._changed = asyncio.Event()

    def watch(self, watch: Watch) -> None:
        """Make these from now on."""
        self._watch = watch
        self.problem = self.problem if watch.journeys else ""
        self._changed.set()

    async def run(self) -> None:
        """Make journeys until cancelled."""
        # Certificates are not checked: their names and ends are watched elsewhere, and a journey goes to an address.
        async with httpx.AsyncClient(verify=False, timeout=_TIMEOUT, follow_redirects=False) as http:  # noqa: S501
            while True:
                began = time.monotonic()
                if self._watch.journeys and self._is_ready():
                    await self._make_all(http, self._watch.journeys[:_MOST])
                self._changed.clear()
                try:
                    async with asyncio.timeout(max(0.1, began + self._watch.journey_interval - time.monotonic())):
                        await self._changed.wait()
                except TimeoutError:
                    continue

    async def _make_all(self, http: httpx.AsyncClient, journeys: tuple[Journey, ...]) -> None:
        try:
            bound = await self._admin.addresses()
        except UnavailableError:
            return
        turns = asyncio.Semaphore(_AT_A_TIME)
        failures: list[str] = []

        async def make(journey: Journey) -> None:
            async with turns:
                failure = await _failure(http, journey, bound)
            self.made += 1
            if failure:
                self.failed += 1
                failures.append(f"The journey {journey.name} ({journey.method} {journey.url}) fails: {failure}")

        async with asyncio.TaskGroup() as group:
            for journey in journeys:
                group.create_task(make(journey), name="agent-journey")
        problem = min(failures, default="")
        if problem and problem != self.problem:
            log.warning("journey_failed", failures=len(failures), reason=problem)
        self.problem = problem


async def _failure(http: httpx.AsyncClient, journey: Journey, bound: tuple[Bound, ...]) -> str:
    """Make a journey; say what was wrong with it, empty if nothing."""
    url = urlsplit(journey.url)
    port = url.port or _PORTS.get(url.scheme, 0)
    address = next((_reachable(one.address) for one in bound if one.port == port), "")
    if not address:
        return f"nothing listens on port {port} of this edge."
    target = f"{url.scheme}://{address}:{port}{url.path or '/'}{'?' + url.query if url.query else ''}"
    request = http.build_request(
        journey.method,
        target,
        headers={**journey.headers, "host": url.netloc},
        extensions={"sni_hostname": url.hostname or "", "timeout": httpx.Timeout(_TIMEOUT).as_dict()},
    )
    try:
        async with asyncio.timeout(_TIMEOUT):
            answer = await http.send(request, stream=True)
            await answer.aclose()
    except (TimeoutError, httpx.TimeoutException):
        return f"no answer in {_TIMEOUT:g} s."
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as exc:
        return f"no answer: {str(exc) or type(exc).__name__}."
    if answer.status_code != journey.status:
        return f"the answer is {answer.status_code}, it should be {journey.status}."
    return ""


def _reachable(address: str) -> str:
    """Turn "every address" into one that can be called."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if ip.is_unspecified:
        return "[::1]" if ip.version == 6 else "127.0.0.1"
    return f"[{ip}]" if ip.version == 6 else str(ip)
