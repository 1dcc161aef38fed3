"""Golden cases of the resolver: a folder a story, `in.yaml` → `graph.yaml` and `status.yaml`.

The first line of `in.yaml` says what the case is about. `with.yaml`, if there, holds what comes beside the objects:
settings, quarantine, faults, at. `{certificate}` and `{key}` stand for a pair that is valid until 2126.
"""

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from seawall.gateway.graph import Graph
from seawall.gateway.resolve import Resolver
from seawall.gateway.settings import Settings
from tests.golden.cases import CASES, load
from tests.golden.plain import plain


def _graph(graph: Graph) -> dict[str, Any]:
    hosts: dict[str, dict[str, Any]] = {}
    for key, host in sorted(graph.hosts.items()):
        hosts.setdefault(key.table, {})[key.hostname] = [plain(route) for route in host.routes]
    fleet = {"perimeter": plain(graph.perimeter), "runtime": plain(graph.runtime)} if graph.perimeter else {}
    return {
        "listeners": [plain(graph.listeners[name]) for name in sorted(graph.listeners)],
        "hosts": hosts,
        "clusters": [plain(graph.clusters[name]) for name in sorted(graph.clusters)],
        "endpoints": [plain(graph.endpoints[name]) for name in sorted(graph.endpoints)],
        "secrets": [plain(graph.secrets[name]) for name in sorted(graph.secrets)],
        **fleet,
    }


def _statuses(resolver: Resolver) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key in sorted(resolver.statuses):
        status = resolver.statuses[key]
        body = _without(status.body, ("observedGeneration", "supportedFeatures"))
        said[key] = {"status": body, "problems": [plain(_short(problem)) for problem in status.problems]}
    return said


def _short(problem: msgspec.Struct) -> dict[str, str]:
    fields = ("severity", "path", "message", "hint")
    return {name: getattr(problem, name) for name in fields}


def _without(value: Any, names: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {key: _without(one, names) for key, one in value.items() if key not in names}
    return [_without(one, names) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_objects_become_this_graph_and_these_statuses(folder: Path, request: pytest.FixtureRequest) -> None:
    beside = folder / "with.yaml"
    extra: dict[str, Any] = yaml.safe_load(beside.read_text()) if beside.exists() else {}
    settings = msgspec.convert(extra.pop("settings", {}), Settings)
    resolver = Resolver(settings)

    resolver.update(put=load(folder), **extra)

    made = {"graph.yaml": _graph(resolver.graph), "status.yaml": _statuses(resolver)}
    for name, data in made.items():
        text = yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)
        if request.config.getoption("--update-golden"):
            (folder / name).write_text(text)
        assert (folder / name).read_text() == text, f"{folder.name}/{name} differs: read the diff, then --update-golden"


@pytest.mark.parametrize("folder", CASES, ids=lambda path: path.name)
def test_case_says_what_it_is_about_and_has_no_orphans(folder: Path) -> None:
    first = (folder / "in.yaml").read_text().splitlines()[0]

    assert first.startswith("# ")
    assert first.endswith(".")
    assert {path.name for path in folder.iterdir()} <= {"in.yaml", "with.yaml", "graph.yaml", "status.yaml"}
