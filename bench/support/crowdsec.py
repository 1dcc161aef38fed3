"""CrowdSec on its log path: nginx writes its log, CrowdSec reads it and decides, and nginx denies whom it decides about.

Debian's package has the program and its hub. It is run from a folder of its own, with its collection for nginx, without its central
service. Debian's bouncer drops in the kernel and asks every ten seconds; addresses of loopback are the host's, so here nginx denies
by a list that is looked after every second.
"""

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import yaml

from bench.support.machine import find
from bench.support.programs import Failure, free_port, listens, running

_PARSERS = (
    "s00-raw/crowdsecurity/syslog-logs",
    "s01-parse/crowdsecurity/nginx-logs",
    "s02-enrich/crowdsecurity/dateparse-enrich",
    "s02-enrich/crowdsecurity/http-logs",
)
_SCENARIOS = (
    *("http-crawl-non_statics", "http-probing", "http-bad-user-agent", "http-generic-bf", "http-sensitive-files"),
    *("http-path-traversal-probing",),
)
"""Of `crowdsecurity/base-http-scenarios`, what behaviour can trigger."""
_NGINX = """
daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log crit;
events {{ worker_connections 9000; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  include {folder}/denied.conf;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""
_PATIENCE = 20.0


def missing() -> str:
    """Say what is not there; empty if all is. It is not installed unasked: its package signs up with a central service."""
    absent = [one for one in ("crowdsec", "cscli", "nginx") if find(one) is None]
    if not absent:
        return ""
    what = ", ".join(absent)
    return (
        f"CrowdSec is left out: {what} is not on this host; `apt-get install crowdsec nginx-light` as root brings it."
    )


@asynccontextmanager
async def crowdsec(behind: int) -> AsyncIterator[int]:
    """Run it in front of an origin; gives the port. Raises Failure if it does not start."""
    folder, port, api = Path(tempfile.mkdtemp(prefix="seawall-peer-")), free_port(), free_port()
    os.chmod(folder, 0o755)
    key = secrets.token_hex(8)
    try:
        await asyncio.to_thread(_prepare, folder, api, key)
        (folder / "denied.conf").write_text("", encoding="utf-8")
        (folder / "access.log").touch(mode=0o666)
        (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, port=port, behind=behind), encoding="utf-8")
        command = [str(find("crowdsec")), "-c", str(folder / "config.yaml"), "-no-capi"]
        front = [str(find("nginx")), "-p", str(folder), "-c", str(folder / "nginx.conf")]
        with running(command, folder / "log"), running(front, folder / "nginx-log") as nginx:
            await _until_listening(folder, port, api)
            async with asyncio.TaskGroup() as group:
                bouncing = group.create_task(_bounce(folder, api, key, nginx.pid), name="bouncer")
                yield port
                bouncing.cancel()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(folder: Path, api: int, key: str) -> None:
    """Lay out its folders from what the package has."""
    home = Path(str(find("crowdsec"))).parent.parent
    etc, share = home.parent / "etc/crowdsec", home / "share/crowdsec"
    if not etc.is_dir():
        etc = Path("/etc/crowdsec")
    shutil.copytree(share / "hub", folder / "hub")
    shutil.copytree(share / "data", folder / "data")
    shutil.copytree(etc / "patterns", folder / "patterns")
    for name in ("profiles.yaml", "simulation.yaml"):
        shutil.copy(etc / name, folder / name)
    for one in _PARSERS:
        target = folder / "parsers" / one.partition("/")[0]
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(share / f"hub/parsers/{one}.yaml", target)
    (folder / "scenarios").mkdir()
    for one in _SCENARIOS:
        shutil.copy(share / f"hub/scenarios/crowdsecurity/{one}.yaml", folder / "scenarios")
    for name in ("postoverflows", "collections", "notifications", "plugins"):
        (folder / name).mkdir()
    acquisition = {"filenames": [str(folder / "access.log")], "labels": {"type": "nginx"}}
    (folder / "acquis.yaml").write_text(yaml.safe_dump(acquisition), encoding="utf-8")
    (folder / "config.yaml").write_text(yaml.safe_dump(_config(folder, api)), encoding="utf-8")
    credentials = str(folder / "local.yaml")
    _told(folder, "machines", "add", "bench", "--password", secrets.token_hex(8), "-f", credentials)
    _told(folder, "bouncers", "add", "bench", "-k", key)


def _config(folder: Path, api: int) -> dict[str, object]:
    paths = {
        "config_dir": f"{folder}/",
        "data_dir": f"{folder}/data/",
        "hub_dir": f"{folder}/hub/",
        "index_path": f"{folder}/hub/.index.json",
        "notification_dir": f"{folder}/notifications/",
        "plugin_dir": f"{folder}/plugins/",
        "simulation_path": f"{folder}/simulation.yaml",
    }
    server = {"listen_uri": f"127.0.0.1:{api}", "profiles_path": f"{folder}/profiles.yaml", "log_level": "warning"}
    return {
        "common": {"daemonize": False, "log_media": "stdout", "log_level": "warning", "working_dir": "."},
        "config_paths": paths,
        "crowdsec_service": {"acquisition_path": f"{folder}/acquis.yaml", "parser_routines": 1},
        "cscli": {"output": "human"},
        "db_config": {"type": "sqlite", "db_path": f"{folder}/data/crowdsec.db"},
        "api": {"client": {"credentials_path": f"{folder}/local.yaml"}, "server": server},
        "prometheus": {"enabled": False},
    }


def _told(folder: Path, *words: str) -> None:
    command = [str(find("cscli")), "-c", str(folder / "config.yaml"), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"CrowdSec could not be set up: {done.stderr[-500:]}")


async def _until_listening(folder: Path, *ports: int) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            while not all(map(listens, ports)):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
    except TimeoutError as exc:
        said = (folder / "log").read_text(errors="replace")[-500:]
        raise Failure(f"CrowdSec and nginx do not listen after {_PATIENCE:g} s: {said}") from exc


async def _bounce(folder: Path, api: int, key: str, nginx: int) -> None:
    """Have nginx deny whom CrowdSec has banned."""
    banned: frozenset[str] = frozenset()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{api}", headers={"X-Api-Key": key}) as client:
        while True:
            await asyncio.sleep(1)
            try:
                found = (await client.get("/v1/decisions")).json() or []
            except (httpx.HTTPError, ValueError):
                continue
            now = frozenset(one["value"] for one in found if one["type"] == "ban")
            if now != banned:
                banned = now
                (folder / "denied.conf").write_text("".join(f"deny {one};\n" for one in sorted(now)), encoding="utf-8")
                os.kill(nginx, signal.SIGHUP)
