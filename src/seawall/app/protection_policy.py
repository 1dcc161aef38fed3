"""Protection policy: what a ProtectionPolicy says, as settings of the machine that decides. Previous room: `gateway.protection`."""

from collections.abc import Iterator
from typing import Final

from seawall.detect.ladder import LADDER
from seawall.detect.scope import Scope, scope
from seawall.detect.settings import Settings
from seawall.gateway.graph import Protection
from seawall.gateway.resources.protection import Whose
from seawall.gateway.resources.scalars import seconds

# Two rungs drop; the second one is for edges that can do so in the driver, which none can yet.
_RUNGS: Final = {rung.name: rung.number for rung in reversed(LADDER)}


def settings_of(found: Protection | None) -> Settings:
    """Make the settings; without a policy, learn and observe."""
    if found is None:
        return Settings()
    spec = found.spec
    return Settings(
        enforces=spec.mode == "enforce",
        highest=_RUNGS[spec.highest],
        sensitivity=spec.sensitivity,
        floor=spec.floors.requests,
        client_floor=spec.floors.client_requests,
        cost_floor=spec.floors.origin_seconds,
        failure_floor=spec.floors.failed_logins,
        cold_start=seconds(spec.cold_start),
        allow=tuple(_scopes(spec.allow)),
        protected=tuple(_scopes(spec.protected)),
        denied_share=spec.budgets.denied,
        most_entries=spec.budgets.verdicts,
        quotas={one.token: one.requests for one in spec.quotas},
    )


def _scopes(whose: Whose) -> Iterator[Scope]:
    for field, values in (("address", whose.clients), ("path", whose.paths), ("token", whose.tokens)):
        yield from (scope("", {field: value}) for value in values)
