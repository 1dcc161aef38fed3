"""Claimed: the features of the Gateway API that Seawall says it supports.

A case whose features are all here must pass. Every other case is listed in `NOT_YET`, with the features that it waits
for; `test_suite` fails when that list and the suite do not agree, in either direction.
"""

from collections.abc import Iterable

from tests.conformance.data import Case

CLAIMED = frozenset(
    {
        "Gateway",
        "ReferenceGrant",
        "HTTPRoute",
        "GRPCRoute",
        "GRPCRouteNamedRouteRule",
        "TLSRoute",
        "TLSRouteModeMixed",
        "TLSRouteModeTerminate",
        "TCPRoute",
        "UDPRoute",
        "ListenerSet",
        "BackendTLSPolicy",
        "BackendTLSPolicySANValidation",
        "GatewayAddressEmpty",
        "GatewayBackendClientCertificate",
        "GatewayFrontendClientCertificateValidation",
        "GatewayFrontendClientCertificateValidationInsecureFallback",
        "GatewayHTTPListenerIsolation",
        "GatewayHTTPSListenerDetectMisdirectedRequests",
        "GatewayInfrastructurePropagation",
        "GatewayPort8080",
        "GatewayStaticAddresses",
        "HTTPRoute303RedirectStatusCode",
        "HTTPRoute307RedirectStatusCode",
        "HTTPRoute308RedirectStatusCode",
        "HTTPRouteBackendProtocolH2C",
        "HTTPRouteBackendProtocolWebSocket",
        "HTTPRouteBackendRequestHeaderModification",
        "HTTPRouteBackendTimeout",
        "HTTPRouteCORS",
        "HTTPRouteDestinationPortMatching",
        "HTTPRouteHostRewrite",
        "HTTPRouteMethodMatching",
        "HTTPRouteNamedRouteRule",
        "HTTPRouteParentRefPort",
        "HTTPRoutePathRedirect",
        "HTTPRoutePathRewrite",
        "HTTPRoutePortRedirect",
        "HTTPRouteQueryParamMatching",
        "HTTPRouteRequestMirror",
        "HTTPRouteRequestMultipleMirrors",
        "HTTPRouteRequestPercentageMirror",
        "HTTPRouteRequestTimeout",
        "HTTPRouteResponseHeaderModification",
        "HTTPRouteRetry",
        "HTTPRouteSchemeRedirect",
    }
)

BORROWED: dict[str, frozenset[str]] = {}
"""Cases that run although a feature is not claimed: features they may have beyond ours."""

NOT_YET: dict[str, str] = {}
"""Why cases wait, by the feature they wait for."""


def lacking(case: Case) -> frozenset[str]:
    """Return the features that keep a case from running; empty if it runs."""
    return frozenset(case.features) - CLAIMED - BORROWED.get(case.short_name, frozenset())


def holds(when: dict[str, list[str]] | None) -> bool:
    """Decide whether a step's condition holds."""
    when = when or {}
    return _all_claimed(when.get("supported_features", ())) and not any(
        feature in CLAIMED for feature in when.get("unsupported_features", ())
    )


def _all_claimed(features: Iterable[str]) -> bool:
    return all(feature in CLAIMED for feature in features)
