"""Which table a hostname meets."""

from typing import Any

from seawall.envoy.messages import full_name
from seawall.envoy.names import scope
from seawall.envoy.proto import as_json, decode
from seawall.envoy.scopes import exact, fallback
from seawall.gateway.graph import FilterChain, Hostname, TableName
from seawall.xds.resource import Resource
from tests.envoy.graphs import TABLE, host, route


def shown(resource: Resource) -> dict[str, Any]:
    return as_json(decode(full_name(resource.type_url), resource.body))


def domains(resource: Resource) -> dict[str, int | None]:
    """Hostname → the status of a table's only answer, None where routes decide."""
    return {
        domain: one["routes"][0].get("direct_response", {}).get("status")
        for one in shown(resource)["route_configuration"]["virtual_hosts"]
        for domain in one["domains"]
    }


def chain(*misdirected: str, unknown: bool = False) -> FilterChain:
    names = tuple(Hostname(name) for name in misdirected)
    return FilterChain(name="c", protocol="https", table=TABLE, misdirected=names, misdirects_unknown=unknown)


def test_the_key_of_an_exact_host_is_its_table_and_name() -> None:
    found = shown(exact(host("shop.example", route())))

    assert found["key"]["fragments"] == [{"string_key": f"{TABLE}|shop.example"}]
    assert found["route_configuration"]["request_headers_to_remove"] == ["x-seawall-scope"]
    assert found["route_configuration"]["response_headers_to_remove"] == ["x-seawall-ref"]
    assert found["route_configuration"]["ignore_port_in_host_matching"] is True


def test_a_table_on_ipv6_has_no_colon_in_its_scope_for_there_the_key_would_end() -> None:
    assert ":" not in scope(TableName("tcp/::1/8080"))


def test_hosts_of_other_listeners_are_misdirected_and_nobodys_hosts_are_not_found() -> None:
    built = fallback(chain("other.example"), TABLE, [host("*.shop.example", route())])

    assert domains(built) == {"*.shop.example": None, "other.example": 421, "*": 404}


def test_beside_a_catch_all_listener_every_unknown_host_is_misdirected() -> None:
    assert domains(fallback(chain("*"), TABLE, [])) == {"*": 421}
    assert domains(fallback(chain(unknown=True), TABLE, [])) == {"*": 421}


def test_what_a_table_serves_is_never_misdirected() -> None:
    built = fallback(chain("*.shop.example"), TABLE, [host("*.shop.example", route()), host("*", route())])

    assert domains(built) == {"*.shop.example": None, "*": None}
