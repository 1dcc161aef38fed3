"""Rules for our own HTTPFilterPolicy: what can be said of its filters without knowing Envoy's messages.

Pure. Each is ours, so none quotes the API. Whether the configuration fits its type is `gateway.native`'s question.
"""

import re
from typing import Any, Final

from seawall.gateway.resources.http_filters import HTTPFilterPolicySpec, NativeHTTPFilter
from seawall.gateway.resources.scalars import TYPE_URL
from seawall.gateway.rules.policies import TARGETS
from seawall.gateway.rules.rule import Finding, Findings, run
from seawall.gateway.rules.unique import no_repeats

FILTER_TYPES: Final = "envoy.extensions.filters.http."
"""The packages of HTTP filters."""
_TYPE_URL: Final = re.compile(TYPE_URL)
_PREFIX: Final = "type.googleapis.com/"
_EXAMPLE: Final = f"Write it as {_PREFIX}{FILTER_TYPES}lua.v3.Lua."
_TERMINAL: Final = f"{FILTER_TYPES}router.v3.Router"
_OURS: Final = ("seawall.", "envoy.filters.http.router")


def http_filter_policy(spec: HTTPFilterPolicySpec, findings: Findings) -> None:
    run(TARGETS, spec.target_refs, "$.spec.targetRefs", findings)
    no_repeats([one.name for one in spec.filters], "$.spec.filters", "filter", findings, "name")
    for index, one in enumerate(spec.filters):
        _filter(one, f"$.spec.filters[{index}]", findings)


def message_name(config: Any) -> str:
    """Return the name of the message in a `typedConfig`."""
    return str(config["@type"]).removeprefix(_PREFIX)


def _filter(one: NativeHTTPFilter, at: str, findings: Findings) -> None:
    if one.name.startswith(_OURS):
        message = f"The name {one.name!r} belongs to a filter of Seawall's own."
        findings.append(Finding(path=f"{at}.name", message=message, hint="Choose another one."))
    written = one.typed_config.get("@type")
    path = f'{at}.typedConfig["@type"]'
    if written is None:
        message = "The required field '@type' is missing: it names the message that the rest is."
        findings.append(Finding(path=f"{at}.typedConfig", message=message, hint=f"Add it. {_EXAMPLE}"))
    elif not isinstance(written, str) or not _TYPE_URL.match(written):
        message = f"{str(written)[:80]!r} is not a type of Envoy's."
        findings.append(Finding(path=path, message=message, hint=_EXAMPLE))
    elif message_name(one.typed_config) == _TERMINAL:
        message = "The router ends the filter chain; Seawall puts it there by itself."
        findings.append(Finding(path=path, message=message, hint="Remove this filter."))
    elif not message_name(one.typed_config).startswith(FILTER_TYPES):
        message = f"{message_name(one.typed_config)[:120]} is not an HTTP filter."
        findings.append(Finding(path=path, message=message, hint=_EXAMPLE))
