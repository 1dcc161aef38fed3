"""Protecting: what a ProtectionPolicy says, in the words of the machine that decides. Pure. Next room: `app.protection`."""

from collections.abc import Iterable
from typing import Final

from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings
from seawall.gateway.graph import Protection
from seawall.gateway.resources.protection import Clients
from seawall.gateway.resources.scalars import seconds
from seawall.kit.units import Seconds

_RUNGS: Final = {"tag": 1, "limit": 2, "tarpit": 4, "deny": 5, "drop": 6}


def settings_of(policy: Protection | None) -> Settings:
    """Without a policy protection learns, and says what it would do."""
    if policy is None:
        return Settings()
    spec = policy.spec
    return Settings(
        enforces=spec.mode == "enforce",
        highest=_RUNGS[spec.highest],
        sensitivity=spec.sensitivity,
        floor=spec.floors.route,
        client_floor=spec.floors.client,
        cost_floor=spec.floors.cost,
        failure_floor=spec.floors.failures,
        cold_start=Seconds(seconds(spec.learning)),
        allow=_scopes(spec.allow),
        protected=_scopes(spec.protected),
        denied_share=spec.denied_share,
        most_entries=spec.max_verdicts,
    )


def _scopes(listed: Iterable[Clients]) -> tuple[Scope, ...]:
    return tuple(scope("", _match(one)) for one in listed)


def _match(one: Clients) -> dict[str, str]:
    said = {"address": one.client, "host": one.host, "path": one.path, "agent": one.agent, "ja4": one.ja4}
    return {field: value for field, value in said.items() if value is not None}
