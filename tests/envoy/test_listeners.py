"""Sockets with their limits."""

from typing import Any

import msgspec

from seawall.envoy.listeners import EdgeDefaults, listener
from seawall.envoy.messages import full_name
from seawall.envoy.proto import as_json, decode
from seawall.gateway.graph import (
    ClientValidation,
    FilterChain,
    Hostname,
    Listener,
    ListenerName,
    SecretName,
    ServerTls,
    TableName,
)
from seawall.xds.resource import SECRET, Ref, Resource, ResourceName

NAME = ListenerName("tcp/127.0.0.1/8443")
CERTIFICATE = SecretName("Secret/edge/shop")


def secure(hostname: str, clients: ClientValidation | None = None) -> FilterChain:
    return FilterChain(
        name=hostname,
        protocol="https",
        server_names=(Hostname(hostname),),
        tls=ServerTls(certificates=(CERTIFICATE,), clients=clients),
        table=TableName(f"{NAME}/{hostname}"),
    )


def socket(*chains: FilterChain) -> Listener:
    return Listener(name=NAME, address="127.0.0.1", port=8443, chains=chains)


def shown(resource: Resource) -> dict[str, Any]:
    return as_json(decode(full_name(resource.type_url), resource.body))


def manager(value: Listener, defaults: EdgeDefaults | None = None) -> dict[str, Any]:
    chain = shown(listener(value, defaults or EdgeDefaults()))["filter_chains"][0]
    found: dict[str, Any] = chain["filters"][0]["typed_config"]
    return found


def test_a_chain_is_chosen_by_sni_and_the_catch_all_by_none() -> None:
    chains = shown(listener(socket(secure("a.example"), secure("*")), EdgeDefaults()))["filter_chains"]

    matches = {chain["name"]: chain["filter_chain_match"] for chain in chains}
    assert matches == {
        "a.example": {"transport_protocol": "tls", "server_names": ["a.example"]},
        "*": {"transport_protocol": "tls"},
    }


def test_certificates_come_by_name_so_that_a_renewal_changes_no_listener() -> None:
    built = listener(socket(secure("a.example")), EdgeDefaults())

    context = shown(built)["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    assert context["tls_certificate_sds_secret_configs"][0]["name"] == CERTIFICATE
    assert context["tls_params"]["tls_minimum_protocol_version"] == "TLSv1_2"
    assert built.refs == (Ref(SECRET, ResourceName(CERTIFICATE)),)


def test_client_certificates_are_required_unless_the_fallback_is_asked_for() -> None:
    strict = secure("a", ClientValidation(ca=SecretName("ca/1")))
    lenient = secure("a", ClientValidation(ca=SecretName("ca/1"), allow_insecure=True))

    contexts = [
        shown(listener(socket(chain), EdgeDefaults()))["filter_chains"][0]["transport_socket"]["typed_config"]
        for chain in (strict, lenient)
    ]

    assert [c["require_client_certificate"] for c in contexts] == [True, False]
    checks = [c["common_tls_context"]["combined_validation_context"] for c in contexts]
    assert [c["default_validation_context"].get("trust_chain_verification", "") for c in checks] == [
        "",
        "ACCEPT_UNTRUSTED",
    ]


def test_the_edge_guides_limits_are_in_force() -> None:
    found = manager(socket(secure("a")), EdgeDefaults(trusted_hops=2))

    assert found["use_remote_address"] is True
    assert found["xff_num_trusted_hops"] == 2
    assert found["normalize_path"] is True
    assert found["merge_slashes"] is True
    assert found["path_with_escaped_slashes_action"] == "UNESCAPE_AND_REDIRECT"
    assert found["common_http_protocol_options"]["headers_with_underscores_action"] == "REJECT_REQUEST"
    assert found["http2_protocol_options"]["max_concurrent_streams"] == 100
    assert found["request_headers_timeout"] == "10s"
    assert found["stream_idle_timeout"] == "300s"


def test_the_order_in_which_chains_come_does_not_matter() -> None:
    first, second = secure("a.example"), secure("b.example")

    assert listener(socket(first, second), EdgeDefaults()) == listener(socket(second, first), EdgeDefaults())


def test_every_listener_shares_one_subscription_of_scopes() -> None:
    plain = msgspec.structs.replace(secure("x"), name="y", table=TableName("other"))

    assert manager(socket(secure("a")))["scoped_routes"] == manager(socket(plain))["scoped_routes"]
