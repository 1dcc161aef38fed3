"""Tokens: what Envoy is told of issuers, and what rules ask of claims."""

from typing import Any

from seawall.envoy.proto import as_json, decode
from seawall.envoy.tokens import check_tokens, claim
from seawall.gateway.entrance import Provider, Tokens
from seawall.gateway.resources.access import ClaimIs, Mode
from seawall.gateway.resources.refs import BackendObjectReference
from seawall.gateway.resources.tokens import ClaimHeader, KeySet, RemoteKeys, TokenProvider, TokenSource

_KIND = "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication"


def shown(*providers: Provider, is_optional: bool = False, mode: Mode = "enforce") -> dict[str, Any]:
    tokens = Tokens(providers=providers, is_optional=is_optional, mode=mode)
    found: dict[str, Any] = as_json(decode(_KIND, check_tokens(tokens, "shop/p")["typed_config"]["value"]))
    return found


def provider(name: str = "id", **fields: Any) -> Provider:
    return Provider(written=TokenProvider(name=name, keys=KeySet(inline="{}"), **fields), keys="{}")


def required(found: dict[str, Any]) -> dict[str, Any]:
    (rule,) = found["rules"]
    needed: dict[str, Any] = rule["requires"]
    return needed


def test_a_token_is_required_unless_it_is_optional_or_observed() -> None:
    assert required(shown(provider())) == {"provider_name": "shop/p/id"}
    any_of = required(shown(provider(), provider("b"), is_optional=True))["requires_any"]["requirements"]
    assert any_of == [{"provider_name": "shop/p/id"}, {"provider_name": "shop/p/b"}, {"allow_missing": {}}]
    observed = required(shown(provider(), mode="observe"))["requires_any"]["requirements"]
    assert observed[-1] == {"allow_missing_or_failed": {}}


def test_every_field_of_a_provider_is_told() -> None:
    sources = (TokenSource(header="X-Token", prefix="T "), TokenSource(query="q"), TokenSource(cookie="c"))
    headers = (ClaimHeader(claim="a.b", header="X-A"),)
    asked = provider(
        issuer="i", audiences=("x",), sources=sources, claim_headers=headers, clock_skew="5s", forward=True
    )

    (found,) = shown(asked)["providers"].values()

    assert (found["issuer"], found["audiences"], found["forward"]) == ("i", ["x"], True)
    assert found["from_headers"] == [{"name": "x-token", "value_prefix": "T "}]
    assert (found["from_params"], found["from_cookies"]) == (["q"], ["c"])
    assert found["claim_to_headers"] == [{"header_name": "x-a", "claim_name": "a.b"}]
    assert found["clock_skew_seconds"] == 5
    assert found["local_jwks"] == {"inline_string": "{}"}


def test_keys_of_a_server_hold_up_no_listener() -> None:
    remote = RemoteKeys(backend_ref=BackendObjectReference(name="id", port=80), path="/k", refresh="90s")
    written = TokenProvider(name="id", keys=KeySet(remote=remote))

    (found,) = shown(Provider(written=written, cluster="c", host="id.example"))["providers"].values()

    keys = found["remote_jwks"]
    assert (keys["http_uri"]["uri"], keys["http_uri"]["cluster"]) == ("http://id.example/k", "c")
    assert keys["cache_duration"] == "90s"
    assert keys["async_fetch"]["fast_listener"] is True


def test_a_value_of_a_claim_is_a_text_a_number_or_a_truth_or_in_a_list() -> None:
    path = [{"key": "claims"}, {"key": "a"}, {"key": "b"}]

    def kinds(value: str) -> set[str]:
        asked = claim(ClaimIs(name="a.b", values=(value,)))["metadata"]
        assert asked["path"] == path
        return {name for one in asked["value"]["or_match"]["value_matchers"] for name in one}

    assert kinds("x") == {"string_match", "list_match"}
    assert kinds("true") == {"string_match", "bool_match", "list_match"}
    assert kinds("-1.5") == {"string_match", "double_match", "list_match"}
    assert kinds("nan") == kinds("1e99") == {"string_match", "list_match"}
