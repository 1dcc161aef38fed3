"""External auth: what Envoy is told of a service that is asked."""

from typing import Any

from seawall.envoy.external_auth import ask
from seawall.envoy.proto import as_json, decode
from seawall.gateway.entrance import ExternalAuth

_KIND = "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz"


def shown(asked: ExternalAuth) -> dict[str, Any]:
    found: dict[str, Any] = as_json(decode(_KIND, ask(asked)["typed_config"]["value"]))
    return found


def test_without_lists_all_of_an_answer_is_taken_and_nothing_more_is_shown() -> None:
    found = shown(ExternalAuth(protocol="HTTP", cluster="c"))

    service = found["http_service"]
    assert service["server_uri"]["cluster"] == "c"
    assert service["authorization_response"]["allowed_upstream_headers"]["patterns"][0]["safe_regex"]["regex"] == ".*"
    assert "allowed_headers" not in found and "with_request_body" not in found
    assert found["status_on_error"]["code"] == "ServiceUnavailable"
    assert not found.get("failure_mode_allow", False)


def test_lists_are_names_in_any_case() -> None:
    found = shown(ExternalAuth(protocol="HTTP", cluster="c", headers=("x-a",), answered=("x-b",), prefix="/p", body=7))

    exact = {"exact": "x-a", "ignore_case": True}
    assert found["allowed_headers"]["patterns"] == [exact]
    answered = found["http_service"]["authorization_response"]["allowed_upstream_headers"]
    assert answered["patterns"] == [{**exact, "exact": "x-b"}]
    assert found["http_service"]["path_prefix"] == "/p"
    assert found["with_request_body"] == {"max_request_bytes": 7}


def test_over_grpc_bodies_are_bytes() -> None:
    found = shown(ExternalAuth(protocol="GRPC", cluster="c", body=7))

    assert found["grpc_service"]["envoy_grpc"]["cluster_name"] == "c"
    assert found["with_request_body"]["pack_as_bytes"] is True


def test_what_a_client_may_show_the_service_is_not_taken_from_him() -> None:
    asked = ExternalAuth(protocol="HTTP", cluster="c", headers=("x-a",), answered=("x-a", "x-b", "authorization"))

    assert asked.own_headers == ("x-b",)
