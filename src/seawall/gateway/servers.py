"""Servers: what a policy refers to beside the backends of routes: who has keys, who is asked.

Pure. Next rooms: `gateway.tokens`, `gateway.access`.
"""

from seawall.gateway.backends import BACKEND, KINDS, BackendKey, Wanted
from seawall.gateway.entrance import ExternalAuth
from seawall.gateway.objects import Object
from seawall.gateway.resources.filters import ExternalAuthFilter
from seawall.gateway.resources.refs import BackendObjectReference
from seawall.gateway.status import Fault
from seawall.gateway.view import View


def server(
    view: View, policy: Object, ref: BackendObjectReference, path: str, faults: list[Fault], wanted: Wanted = "http"
) -> str:
    """Find the cluster of a server beside the policy. What leads nowhere is added to `faults`, and "" returned."""
    kind = KINDS.get((ref.group, ref.kind))
    if kind is None:
        message = f"A {ref.kind} of group {ref.group!r} cannot be asked."
        hint = "Name a Service, or a Backend of group seawall.dev."
        faults.append(Fault(reason="InvalidKind", message=message, path=f"{path}.kind", hint=hint))
        return ""
    if ref.namespace not in {None, policy.meta.namespace}:
        message = f"The policy refers to the namespace {ref.namespace}, and may only to its own."
        hint = "Put a Backend beside the policy."
        faults.append(Fault(reason="RefNotPermitted", message=message, path=f"{path}.namespace", hint=hint))
        return ""
    key = BackendKey(
        kind=kind,
        namespace=policy.meta.namespace,
        name=ref.name,
        port=ref.port if kind == "Service" else None,
        wanted=wanted,
    )
    found = view.get(BACKEND, key)
    if found.fault is not None:
        faults.append(
            Fault(
                reason=found.fault.reason,
                message=found.fault.message,
                path=path + found.fault.path,
                hint=found.fault.hint,
            )
        )
    return found.recipe.cluster.name if found.recipe is not None else ""


def external_auth(written: ExternalAuthFilter, cluster: str) -> ExternalAuth:
    """Take over how a service is asked; names of headers in one case, each once."""
    http, grpc = written.http, written.grpc
    seen = (http.allowed_headers if http is not None else ()) + (grpc.allowed_headers if grpc is not None else ())
    return ExternalAuth(
        protocol=written.protocol,
        cluster=cluster,
        # A slash at its end and that of the path would be two.
        prefix=(http.path or "").rstrip("/") if http is not None else "",
        headers=tuple(dict.fromkeys(name.lower() for name in seen)),
        answered=tuple(dict.fromkeys(name.lower() for name in http.allowed_response_headers)) if http else (),
        body=(written.forward_body.max_size or 0) if written.forward_body is not None else 0,
    )
