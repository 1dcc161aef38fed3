"""Limiters: proxies that limit clients by address, each as its own pages advise, in front of the origin of a play.

HAProxy counts in a stick table and answers 429 beyond a rate, nginx has `limit_req` with a burst; both from Debian. All know the
same of clients as our edge does, the address and the request; nobody is given a table of good ones.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench.support.machine import find, install
from bench.support.programs import Failure, end, free_port, listens, running

RATE = 25
"""Requests a second of one address: where our own floor for a client is, so that all begin at the same."""
BURST = 100
"""What a page with its parts may take at once."""

# docs.haproxy.org/2.6: "stick-table ... http_req_rate(10s)", "http-request track-sc0 src", "http-request deny deny_status 429".
_HAPROXY = """
global
  nbthread 1
  maxconn 9000
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-request 10s
frontend in
  bind 127.0.0.1:{port} backlog 4096
  stick-table type ip size 1m expire 30s store http_req_rate(10s)
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {in_ten} }}
  default_backend app
backend app
  server app 127.0.0.1:{behind}
"""
# nginx.org/en/docs/http/ngx_http_limit_req_module.html: a zone by $binary_remote_addr, a burst, `nodelay`.
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log crit;
events {{ worker_connections 9000; }}
http {{
  access_log off;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  limit_req_zone $binary_remote_addr zone=clients:16m rate={rate}r/s;
  limit_req_status 429;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      limit_req zone=clients burst={burst} nodelay;
      proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_set_header Connection "";
    }}
  }}
}}
"""


class Limiter(msgspec.Struct, frozen=True, kw_only=True):
    """A peer: its program, the Debian package that has it, and how it is started on a folder, a port and an origin's port."""

    name: str
    program: str
    package: str
    config: Callable[[Path, int, int], list[str]]

    def missing(self) -> str:
        """Say what is not there and what to do; empty if nothing is."""
        if find(self.program) is not None or (install(self.package) and find(self.program) is not None):
            return ""
        return f"{self.name} is left out: {self.program} is not on this host; `apt-get install {self.package}` as root brings it."


def _haproxy(folder: Path, port: int, behind: int) -> list[str]:
    config = folder / "haproxy.cfg"
    config.write_text(_HAPROXY.format(port=port, behind=behind, in_ten=10 * RATE), encoding="utf-8")
    return ["-db", "-f", str(config)]


def _nginx(folder: Path, port: int, behind: int) -> list[str]:
    config = folder / "nginx.conf"
    text = _NGINX.format(folder=folder, port=port, behind=behind, rate=RATE, burst=BURST)
    config.write_text(text, encoding="utf-8")
    return ["-p", str(folder), "-c", str(config)]


LIMITERS: tuple[Limiter, ...] = (
    Limiter(name="HAProxy", program="haproxy", package="haproxy", config=_haproxy),
    Limiter(name="nginx", program="nginx", package="nginx-light", config=_nginx),
)


@asynccontextmanager
async def limiting(limiter: Limiter, behind: int) -> AsyncIterator[int]:
    """Run a peer in front of an origin; gives the port. Raises Failure if it does not start."""
    folder, port = Path(tempfile.mkdtemp(prefix="seawall-peer-")), free_port()
    # nginx's workers give up root, and write into the folder.
    os.chmod(folder, 0o755)
    log = folder / "log"
    try:
        with running([find(limiter.program) or limiter.program, *limiter.config(folder, port, behind)], log) as child:
            async with asyncio.timeout(10):
                while not listens(port):
                    if child.poll() is not None:
                        raise Failure(f"{limiter.name} ended by itself: {log.read_text(errors='replace')[-500:]}")
                    await asyncio.sleep(0.05)
            yield port
            end(child)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
