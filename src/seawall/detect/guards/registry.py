"""Registry: one line a guard, all ten of them; `detect.judge` asks in this order. Pure."""

from seawall.detect.guards import (
    budget,
    canary,
    dead_man,
    filter_order,
    flash_crowd,
    impact,
    ipv6,
    own_retry,
    protected,
    shared_address,
)
from seawall.detect.guards.question import Guard

GUARDS: tuple[Guard, ...] = (
    impact.GUARD,
    protected.GUARD,
    shared_address.GUARD,
    ipv6.GUARD,
    budget.GUARD,
    canary.GUARD,
    flash_crowd.GUARD,
    own_retry.GUARD,
    dead_man.GUARD,
    filter_order.GUARD,
)
