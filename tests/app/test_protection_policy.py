"""Each field of a ProtectionPolicy becomes the setting that it promises, and its defaults are the machine's."""

from seawall.app.protection_policy import settings_of
from seawall.detect.scope import scope
from seawall.detect.settings import Settings
from tests.gateway.test_protection import policy
from tests.gateway.world import edge, resolved


def test_without_a_policy_and_with_an_empty_one_it_learns_and_observes() -> None:
    assert settings_of(None) == Settings()
    assert settings_of(resolved(*edge(), policy("p")).graph.protection) == Settings()


def test_every_field_is_a_setting() -> None:
    found = resolved(
        *edge(),
        policy(
            "p",
            mode="enforce",
            highest="deny",
            sensitivity=2,
            floors={"requests": 10, "clientRequests": 11, "originSeconds": 12, "failedLogins": 13},
            coldStart="1m",
            allow={"clients": ["192.0.2.0/24"], "paths": ["/healthz"], "tokens": ["k"]},
            protected={"clients": ["2001:db8::/32"]},
            budgets={"denied": 0.1, "verdicts": 7},
            quotas=[{"token": "k", "requests": 200}],
        ),
    ).graph.protection

    assert settings_of(found) == Settings(
        enforces=True,
        highest=5,
        sensitivity=2,
        floor=10,
        client_floor=11,
        cost_floor=12,
        failure_floor=13,
        cold_start=60.0,  # type: ignore[arg-type]
        allow=(scope("", {"address": "192.0.2.0/24"}), scope("", {"path": "/healthz"}), scope("", {"token": "k"})),
        protected=(scope("", {"address": "2001:db8::/32"}),),
        denied_share=0.1,
        most_entries=7,
        quotas={"k": 200},
    )


def test_the_lower_of_two_rungs_of_a_name_is_meant() -> None:
    heights = [
        settings_of(resolved(*edge(), policy("p", highest=one)).graph.protection).highest
        for one in ("tag", "limit", "tarpit", "deny", "drop")
    ]
    assert heights == [1, 2, 4, 5, 6]
