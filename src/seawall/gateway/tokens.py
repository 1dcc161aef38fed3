"""Tokens: the JSON Web Tokens that an AccessPolicy asks for, with the keys that they are checked with.

Pure. Next room: `gateway.access`.
"""

from seawall.gateway.entrance import Provider, Tokens
from seawall.gateway.indexes import SUGGESTION
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.access import Jwt
from seawall.gateway.resources.core import ConfigMapSpec
from seawall.gateway.resources.tokens import KeysInConfigMap, TokenProvider
from seawall.gateway.rules.tokens import wrong_keys
from seawall.gateway.servers import server
from seawall.gateway.status import Fault
from seawall.gateway.view import View


def tokens(view: View, policy: Object, written: Jwt, faults: list[Fault]) -> Tokens:
    """Follow what the providers refer to; what leads nowhere is added to `faults`."""
    found = [
        _provider(view, policy, one, f"$.spec.jwt.providers[{index}].keys", faults)
        for index, one in enumerate(written.providers)
    ]
    return Tokens(providers=tuple(found), is_optional=written.optional, mode=written.mode)


def _provider(view: View, policy: Object, written: TokenProvider, path: str, faults: list[Fault]) -> Provider:
    keys = written.keys
    if keys.config_map is not None:
        return Provider(written=written, keys=_of_config_map(view, policy, keys.config_map, path, faults))
    if keys.remote is not None:
        ref = keys.remote.backend_ref
        cluster = server(view, policy, ref, f"{path}.remote.backendRef", faults)
        host = keys.remote.host or f"{ref.name}.{policy.meta.namespace}"
        return Provider(written=written, cluster=cluster, host=host)
    return Provider(written=written, keys=keys.inline or "")


def _of_config_map(view: View, policy: Object, written: KeysInConfigMap, path: str, faults: list[Fault]) -> str:
    name = f"ConfigMap {policy.meta.namespace}/{written.name}"
    obj = view.object(object_key("ConfigMap", policy.meta.namespace, written.name))
    if obj is None or not isinstance(obj.spec, ConfigMapSpec):
        near = view.get(SUGGESTION, ("ConfigMap", policy.meta.namespace, written.name))
        hint = f"Did you mean {near}?" if near else "Create the ConfigMap or correct the reference."
        faults.append(_fault("InvalidKeySetRef", f"There is no {name}.", f"{path}.configMap.name", hint))
        return ""
    text = obj.spec.data.get(written.key)
    said = wrong_keys(text) if text is not None else "is not there"
    if text is None or said:
        message = f"The key set {written.key} in {name} {said}."
        hint = f'Put {{"keys": [{{"kty": …}}]}}, with public keys alone, into its entry {written.key}.'
        faults.append(_fault("InvalidKeySetRef", message, f"{path}.configMap.key", hint))
        return ""
    return text


def _fault(reason: str, message: str, path: str, hint: str) -> Fault:
    return Fault(reason=reason, message=message, path=path, hint=hint)
