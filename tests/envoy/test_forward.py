"""Where a request goes, and how often it is tried."""

from typing import Any

import pytest

from seawall.envoy.forward import NO_SUCH_CLUSTER, forward
from seawall.envoy.proto import as_json, message
from seawall.gateway.graph import Forward, HeaderEdits, Mirror, PathEdit, Retry, RouteMatch, WeightedBackend
from seawall.kit.units import Seconds
from tests.envoy.graphs import SHOP


def built(action: Forward, match: RouteMatch | None = None, host: str | None = None) -> dict[str, Any]:
    return as_json(message("envoy.config.route.v3.Route")(**forward(action, match or RouteMatch(), host)))


def test_a_backend_that_cannot_be_used_gets_its_share_as_500() -> None:
    action = Forward(backends=(WeightedBackend(cluster=SHOP, weight=3), WeightedBackend(cluster=None, weight=1)))

    route = built(action)["route"]

    shares = [(c["name"], c["weight"]) for c in route["weighted_clusters"]["clusters"]]
    assert shares == [(SHOP, 3), (NO_SUCH_CLUSTER, 1)]
    assert route["cluster_not_found_response_code"] == "INTERNAL_SERVER_ERROR"


@pytest.mark.parametrize("backends", [(), (WeightedBackend(cluster=SHOP, weight=0),)])
def test_nowhere_to_go_is_a_500(backends: tuple[WeightedBackend, ...]) -> None:
    assert built(Forward(backends=backends)) == {"direct_response": {"status": 500}}


def test_no_limit_on_the_whole_request_unless_asked_for() -> None:
    plain = Forward(backends=(WeightedBackend(cluster=SHOP),))
    limited = Forward(backends=plain.backends, timeout=Seconds(0.5), try_timeout=Seconds(0.1))

    assert built(plain)["route"]["timeout"] == "0s"
    assert built(limited)["route"]["timeout"] == "0.500s"
    assert built(limited)["route"]["retry_policy"]["per_try_timeout"] == "0.100s"


def test_only_listed_codes_are_retried() -> None:
    retry = Retry(attempts=3, codes=(500, 502), backoff=Seconds(0.1))

    policy = built(Forward(backends=(WeightedBackend(cluster=SHOP),), retry=retry))["route"]["retry_policy"]

    assert policy == {
        "retry_on": "connect-failure,refused-stream,reset,retriable-status-codes",
        "num_retries": 3,
        "retriable_status_codes": [500, 502],
        "retry_back_off": {"base_interval": "0.100s", "max_interval": "1s"},
    }


def test_attempts_of_zero_means_no_retry_at_all() -> None:
    action = Forward(backends=(WeightedBackend(cluster=SHOP),), retry=Retry(attempts=0))

    assert built(action)["route"]["retry_policy"] == {"num_retries": 0}


def test_a_mirror_gets_its_fraction_and_the_same_host() -> None:
    mirror = Mirror(cluster=SHOP, numerator=1, denominator=3)

    found = built(Forward(backends=(WeightedBackend(cluster=SHOP),), mirrors=(mirror,)))["route"]

    assert found["request_mirror_policies"] == [
        {
            "cluster": SHOP,
            "runtime_fraction": {"default_value": {"numerator": 333333, "denominator": "MILLION"}},
            "disable_shadow_host_suffix_append": True,
        }
    ]


def test_a_host_that_is_set_as_a_header_becomes_a_rewrite_and_a_real_rewrite_outranks_it() -> None:
    backends = (WeightedBackend(cluster=SHOP),)

    assert built(Forward(backends=backends), host="a")["route"]["host_rewrite_literal"] == "a"
    assert built(Forward(backends=backends, rewrite_host="b"), host="a")["route"]["host_rewrite_literal"] == "b"


def test_header_edits_of_a_backend_follow_the_backend() -> None:
    edits = HeaderEdits(set=(("Host", "inner"), ("x-backend", "one")))
    action = Forward(backends=(WeightedBackend(cluster=SHOP, request_headers=edits),))

    share = built(action)["route"]["weighted_clusters"]["clusters"][0]

    assert share["host_rewrite_literal"] == "inner"
    assert [option["header"]["key"] for option in share["request_headers_to_add"]] == ["x-backend"]


@pytest.mark.parametrize(
    ("prefix", "value", "expected"),
    [
        ("/a", "/x", {"prefix_rewrite": "/x"}),
        ("/a", "/x/", {"prefix_rewrite": "/x"}),
        ("/a.b", "/", {"regex_rewrite": {"pattern": {"regex": "^/a\\.b/*"}, "substitution": "/"}}),
        ("/a", "", {"regex_rewrite": {"pattern": {"regex": "^/a/*"}, "substitution": "/"}}),
        ("/", "/x", {"regex_rewrite": {"pattern": {"regex": "^/*"}, "substitution": "/x/"}}),
    ],
)
def test_a_prefix_is_replaced_at_element_boundaries(prefix: str, value: str, expected: dict[str, Any]) -> None:
    edit = PathEdit(type="ReplacePrefixMatch", value=value)
    action = Forward(backends=(WeightedBackend(cluster=SHOP),), rewrite_path=edit)

    route = built(action, RouteMatch(path=prefix))["route"]

    assert {key: route[key] for key in ("prefix_rewrite", "regex_rewrite") if key in route} == expected


def test_a_policy_says_after_what_how_long_and_where_to_try_again() -> None:
    retry = Retry(
        attempts=3,
        codes=(409,),
        on=("gatewayError", "tooManyRequests"),
        backoff=Seconds(0.1),
        longest=Seconds(0.5),
        is_elsewhere=True,
    )
    action = Forward(backends=(WeightedBackend(cluster=SHOP),), retry=retry, stream_idle=Seconds(0))

    route = built(action)["route"]

    policy = route["retry_policy"]
    assert route["idle_timeout"] == "0s"
    assert policy["retry_on"] == "gateway-error,retriable-status-codes"
    assert policy["retriable_status_codes"] == [409, 429]
    assert policy["retry_back_off"] == {"base_interval": "0.100s", "max_interval": "0.500s"}
    assert policy["retry_host_predicate"][0]["name"] == "before"
    assert int(policy["host_selection_retry_max_attempts"]) == 16
