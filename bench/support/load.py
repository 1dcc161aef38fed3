"""Load: nginx as a backend that answers at once, and wrk as the crowd in front of a proxy."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bench.support.machine import find, install
from bench.support.programs import Failure, free_port, listens, on_cores, running, wait_for

_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ return 200 "25 bytes, all from nginx"; }}
    location /page {{ default_type text/html; return 200 "{page}"; }}
  }}
}}
"""
_PAGE = "<p>A page of some two kilobytes, of which one third is left when it is compressed, number {}.</p>"
_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """What one run of wrk saw; times in milliseconds."""

    requests: int
    rate: float
    p50: float
    p99: float
    errors: int


def need(program: str, package: str) -> str:
    """Find a program, installing its Debian package if that is possible. Raises Failure."""
    path = find(program)
    if path is None and install(package):
        path = find(program)
    if path is None:
        raise Failure(f"{program} is missing and could not be installed: apt-get install {package}")
    return path


@contextmanager
def backend(folder: Path, cores: Iterable[int] | None = None) -> Iterator[int]:
    """Serve 25 bytes with status 200 for every request, and 2 KiB below `/page`; gives the port."""
    port = free_port()
    nginx = need("nginx", "nginx-light")
    (folder / "nginx.conf").write_text(
        _NGINX.format(folder=folder, port=port, page="".join(map(_PAGE.format, range(22))))
    )
    log = folder / "nginx.log"
    with running([nginx, "-p", folder, "-c", folder / "nginx.conf"], log, cores=cores):
        wait_for("nginx", lambda: listens(port), 10, log)
        yield port


def hammer(
    port: int,
    host: str,
    seconds: float,
    *,
    connections: int = 64,
    cores: Iterable[int] | None = None,
    path: str = "/",
    headers: Mapping[str, str] | None = None,
) -> Round:
    """Send requests as fast as they are answered, over keep-alive connections."""
    wrk = need("wrk", "wrk")
    command = [wrk, "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "-H", f"Host: {host}"]
    command += [word for name, value in (headers or {}).items() for word in ("-H", f"{name}: {value}")]
    with on_cores(cores):
        done = subprocess.run([*command, f"http://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=False)
    return parse(done.stdout)


def parse(text: str) -> Round:
    """Read what wrk prints. Raises Failure if it printed something else."""
    total = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    if total is None or rate is None:
        raise Failure(f"wrk said: {text.strip() or 'nothing'}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, broken.groups())) if broken else 0
    return Round(
        requests=int(total[1]), rate=float(rate[1]), p50=_latency(text, "50"), p99=_latency(text, "99"), errors=errors
    )


def _latency(text: str, percent: str) -> float:
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s|m)\s*$", text, re.MULTILINE)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
