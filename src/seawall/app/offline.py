"""Offline: a folder of manifests, read once and carried through to Envoy's messages; nothing runs.

For `check`, `render` and `explain`. The way is the one that `app.deliver` goes, with the same parts.
"""

import datetime
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from seawall.app.problems import ProblemBook, place_text
from seawall.app.standins import Certificate, StandIns
from seawall.envoy.access import redacted
from seawall.envoy.build import Builder
from seawall.envoy.listeners import EdgeDefaults
from seawall.envoy.messages import full_name
from seawall.envoy.native import check, unreadable
from seawall.envoy.proto import as_json, decode
from seawall.gateway.explain import Explanation, explain
from seawall.gateway.graph import ObjectKey
from seawall.gateway.matching import Request
from seawall.gateway.resolve import Resolver
from seawall.gateway.settings import Settings
from seawall.kit.units import Instant
from seawall.source.files import load as load_files
from seawall.xds.resource import SECRET, Resource

Json = dict[str, Any]


class Offline:
    """Manifests and all that follows from them."""

    def __init__(
        self,
        path: Path,
        settings: Settings | None = None,
        certificates: dict[tuple[ObjectKey, str], Certificate] | None = None,
        ports: Mapping[ObjectKey, int] | None = None,
        door: EdgeDefaults | None = None,
    ) -> None:
        """Raises ConfigError if there is nothing to read. `certificates` and `ports` are stand-ins that exist already, `door` how
        the edges' listeners are: two folders with the same are equal."""
        source, change = load_files(path, check=unreadable)
        now = datetime.datetime.now(datetime.UTC)
        stand_ins = StandIns(certificates)
        self.certificates = stand_ins.certificates
        put, _ = stand_ins.fill(change.put, (), ports or {}, now)
        self.resolver = Resolver(settings, check)
        self._change = self.resolver.update(put=put, at=Instant(time.time()))
        self._problems = ProblemBook(source.place, source.file_of)
        self._problems.note_files(change.problems)
        self._door = door
        self._builder: Builder | None = None
        written = [file for obj in change.put if (file := source.file_of(obj.key)) is not None]
        self._objects = len(written)
        self._files = len(set(written) | {file for file, found in change.problems.items() if found})

    @property
    def builder(self) -> Builder:
        """Build Envoy's messages when somebody asks: `check` has no use for them."""
        if self._builder is None:
            self._builder = Builder(self._door)
            self._builder.update(self.resolver.graph, self._change)
        return self._builder

    def report(self) -> Json:
        """Everything that is wrong, and how much there is."""
        problems = self._problems.everything(self.resolver.statuses.values())
        errors = sum(problem["severity"] == "error" for problem in problems)
        return {
            "objects": self._objects,
            "files": self._files,
            "errors": errors,
            "warnings": len(problems) - errors,
            "problems": problems,
        }

    def explain(self, request: Request) -> Explanation:
        return explain(self.resolver.graph, request, place_text(self._problems.place_of))

    def render(self, kind: str = "") -> list[Json]:
        """Show Envoy's messages; of one type if `kind` names it. Private keys, API keys and passwords are left out."""
        wanted = (
            one for one in self.builder.snapshot.all() if not kind or full_name(one.type_url).endswith(f".{kind}")
        )
        return [_shown(one) for one in sorted(wanted, key=lambda one: (one.type_url, one.name))]


def _shown(resource: Resource) -> Json:
    # Protobuf makes ordered dictionaries, which YAML would not take.
    body: Json = redacted(msgspec.to_builtins(as_json(decode(full_name(resource.type_url), resource.body))))
    if resource.type_url == SECRET and "tls_certificate" in body:
        body["tls_certificate"]["private_key"] = {"inline_string": "***"}
    return {"@type": resource.type_url, **body}
