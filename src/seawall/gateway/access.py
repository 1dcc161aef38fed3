"""Access: which AccessPolicy applies to a rule of a route on a listener, and what it says.

Pure. One policy applies, whole: that of the rule, else of the route, else of the listener, else of the Gateway; among
several for one target the oldest. One that cannot be followed (a Secret that is not there, refused by Envoy) is not passed
over as other policies are: what it protects stays closed.
Next rooms: `gateway.routes` puts it into routes, `gateway.access_reports` says what became of each policy.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from seawall.gateway.backends import Wanted
from seawall.gateway.entrance import Access, Admitted, ExternalAuth, Keys, Users
from seawall.gateway.gateways import age
from seawall.gateway.graph import ObjectKey
from seawall.gateway.indexes import ACCESS_POLICIES, SUGGESTION
from seawall.gateway.objects import Object, object_key
from seawall.gateway.resources.access import AccessPolicySpec, ApiKeys, BasicAuth
from seawall.gateway.resources.core import SecretSpec
from seawall.gateway.resources.filters import ExternalAuthFilter
from seawall.gateway.resources.refs import GATEWAY_GROUP, LocalPolicyTargetReferenceWithSectionName
from seawall.gateway.secrets import QUARANTINE
from seawall.gateway.servers import external_auth, server
from seawall.gateway.status import Fault
from seawall.gateway.tokens import tokens
from seawall.gateway.view import Rule, View
from seawall.kit.secret import Secret

KINDS: Final = ("Gateway", "HTTPRoute", "GRPCRoute")
HTPASSWD: Final = ".htpasswd"
CLOSED: Final = "The access policy of this route cannot be followed."
"""All that a client is told: names of Secrets are none of its business."""
_USER: Final = re.compile(r"[^\s:]+")
_SHA: Final = "{SHA}"
_KEY: Final = re.compile(r"[!-~]+")
_Candidates = tuple[ObjectKey, ...]


class Understood(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy means, and what is wrong with it."""

    access: Access
    faults: tuple[Fault, ...] = ()


def understand(view: View, key: ObjectKey) -> Understood | None:
    """Say what a policy means; None if it is not there."""
    obj = view.object(key)
    if obj is None or not isinstance(obj.spec, AccessPolicySpec):
        return None
    spec, faults = obj.spec, _refused(view, key)
    keys = _keys(view, obj, spec.api_keys, faults) if spec.api_keys is not None else None
    users = _users(view, obj, spec.basic_auth, faults) if spec.basic_auth is not None else None
    found = tokens(view, obj, spec.jwt, faults) if spec.jwt is not None else None
    access = Access(
        name=f"{obj.meta.namespace}/{obj.meta.name}",
        origin=key,
        addresses=spec.addresses,
        keys=keys,
        users=users,
        tokens=found,
        external_auth=_asked(view, obj, spec.external_auth, faults) if spec.external_auth is not None else None,
        cors=spec.cors,
        csrf=spec.csrf,
        rules=spec.authorization.rules if spec.authorization is not None else (),
        fault=faults[0].message if faults else "",
    )
    return Understood(access=access, faults=tuple(faults))


ACCESS: Final = Rule(understand)


def _refused(view: View, key: ObjectKey) -> list[Fault]:
    said = view.fact(QUARANTINE, key)
    if said is None:
        return []
    message = f"Envoy refused the configuration made of this object: {said}"
    hint = "Change what Envoy names; until then what the policy protects is answered with 500."
    return [Fault(reason="Invalid", message=message, path="$.spec", hint=hint)]


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _secret(view: View, obj: Object, name: str, path: str, faults: list[Fault]) -> SecretSpec | None:
    found = view.object(object_key("Secret", obj.meta.namespace, name))
    if found is not None and isinstance(found.spec, SecretSpec):
        return found.spec
    near = view.get(SUGGESTION, ("Secret", obj.meta.namespace, name))
    message = f"There is no Secret {obj.meta.namespace}/{name}."
    hint = f"Did you mean {near}?" if near else "Create the Secret or correct the reference."
    faults.append(Fault(reason="InvalidSecretRef", message=message, path=f"{path}.name", hint=hint))
    return None


def _keys(view: View, obj: Object, written: ApiKeys, faults: list[Fault]) -> Keys:
    clients: dict[str, Secret] = {}
    owners: dict[Secret, str] = {}
    for index, ref in enumerate(written.secrets):
        path = f"$.spec.apiKeys.secrets[{index}]"
        found = _secret(view, obj, ref.name, path, faults)
        for client, secret in sorted(found.data.items()) if found is not None else ():
            key = Secret(secret.reveal().strip())
            said = _amiss(client, key, clients, owners)
            if said:
                message = f"Secret {obj.meta.namespace}/{ref.name} {said}."
                hint = "Give every client one key of its own: 1 to 4096 visible characters without spaces."
                faults.append(Fault(reason="InvalidSecretRef", message=message, path=f"{path}.name", hint=hint))
                continue
            clients[client] = key
            owners[key] = client
    if not clients and not faults:
        message = "None of the Secrets has a key in it, so nobody could pass."
        fault = Fault(reason="InvalidSecretRef", message=message, path="$.spec.apiKeys.secrets", hint="Add a key.")
        faults.append(fault)
    header = (written.client_header or "").lower()
    return Keys(clients=tuple(sorted(clients.items(), key=_by_name)), sources=written.sources, client_header=header)


def _by_name(entry: tuple[str, Secret]) -> str:
    return entry[0]


def _amiss(client: str, key: Secret, clients: dict[str, Secret], owners: dict[Secret, str]) -> str:
    text = key.reveal()
    if len(text) > 4096 or not _KEY.fullmatch(text.decode("ascii", "replace")):
        return f"has no usable key for {client}"
    if client in clients:
        return f"has a client {client}, as another Secret of the policy has"
    if key in owners:
        return f"has the same key for {client} as there is for {owners[key]}"
    return ""


def _users(view: View, obj: Object, written: BasicAuth, faults: list[Fault]) -> Users:
    path = "$.spec.basicAuth.secret"
    header = (written.user_header or "").lower()
    found = _secret(view, obj, written.secret.name, path, faults)
    if found is None:
        return Users(lines=Secret(b""), user_header=header)
    said = _wrong_lines(found.data.get(HTPASSWD))
    if said:
        message = f"Secret {obj.meta.namespace}/{written.secret.name} {said}."
        hint = f"Put lines as `htpasswd -s` writes them (`user:{_SHA}…`) into its entry {HTPASSWD}."
        faults.append(Fault(reason="InvalidSecretRef", message=message, path=f"{path}.name", hint=hint))
        return Users(lines=Secret(b""), user_header=header)
    lines = [line.strip() for line in found.data[HTPASSWD].reveal().decode().splitlines() if line.strip()]
    return Users(lines=Secret("\n".join(lines).encode()), user_header=header)


def _wrong_lines(secret: Secret | None) -> str:
    """Say what is wrong with a file of users; never what stands in it but the number of a line."""
    if secret is None:
        return f"has no entry {HTPASSWD}"
    try:
        lines = secret.reveal().decode().splitlines()
    except UnicodeDecodeError:
        return f"has an entry {HTPASSWD} that is no text"
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        user, colon, digest = line.strip().partition(":")
        if not colon or not _USER.fullmatch(user) or user in seen:
            return f"has no user, or one that is there already, in line {number} of {HTPASSWD}"
        if not digest.startswith(_SHA) or not _is_sha1(digest.removeprefix(_SHA)):
            return (
                f"has a password in line {number} of {HTPASSWD} that is not hashed with SHA, which is all Envoy knows"
            )
        seen.add(user)
    return "" if seen else f"has no users in {HTPASSWD}"


def _is_sha1(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == 20
    except binascii.Error:
        return False


def _asked(view: View, obj: Object, written: ExternalAuthFilter, faults: list[Fault]) -> ExternalAuth:
    wanted: Wanted = "grpc" if written.protocol == "GRPC" else "http"
    path = "$.spec.externalAuth.backendRef"
    return external_auth(written, server(view, obj, written.backend_ref, path, faults, wanted))


# ── which one applies ────────────────────────────────────────────────────────────────────────────────────────────


def is_target(target: LocalPolicyTargetReferenceWithSectionName) -> bool:
    """Say whether a policy can apply to things of this kind."""
    return target.group == GATEWAY_GROUP and target.kind in KINDS


def policies_for(view: View, target: tuple[ObjectKey, str | None]) -> _Candidates:
    """Name the policies for exactly this target (None) or section of it, older first."""
    key, section = target
    found: list[Object] = []
    for obj in view.bucket(ACCESS_POLICIES, key).values():
        assert isinstance(obj.spec, AccessPolicySpec)
        if any(
            is_target(ref) and object_key(ref.kind, obj.meta.namespace, ref.name) == key and ref.section_name == section
            for ref in obj.spec.target_refs
        ):
            found.append(obj)
    return tuple(obj.key for obj in sorted(found, key=age))


ACCESS_FOR: Final = Rule(policies_for)


def _all_for(view: View, key: ObjectKey, section: str | None) -> Iterator[ObjectKey]:
    """Name the policies for a section of something, and then for the whole of it."""
    if not view.bucket(ACCESS_POLICIES, key):
        return
    for part in (section, None) if section else (None,):
        yield from view.get(ACCESS_FOR, (key, part))


def of_listener(view: View, place: tuple[ObjectKey, str | None]) -> _Candidates:
    """Name the policies for a listener (None for one of a ListenerSet) and then its Gateway, first choice first."""
    return tuple(_all_for(view, *place))


ACCESS_OF_LISTENER: Final = Rule(of_listener)


def admitted(view: View, route: ObjectKey, rule: str | None, listener: _Candidates) -> Admitted | None:
    """Choose the policy of a rule; the others are remembered, so that `explain` can name them."""
    candidates = tuple(dict.fromkeys((*_all_for(view, route, rule), *listener)))
    if not candidates:
        return None
    first = view.get(ACCESS, candidates[0])
    assert first is not None
    return Admitted(by=first.access, over=candidates[1:])


# ── in words ─────────────────────────────────────────────────────────────────────────────────────────────────────


def access_said(admitted: Admitted | None) -> tuple[str, ...]:
    """Say what a policy asks for; never a key, a password or the name of who has one."""
    if admitted is None:
        return ()
    access = admitted.by
    if access.fault:
        said = [f"access {access.name}: closed, for the policy cannot be followed: {access.fault}"]
    else:
        said = [f"access {access.name}: {part}" for part in _said(access)]
    if admitted.over:
        said.append(
            f"access {access.name} is more specific than {', '.join(admitted.over)}, or older: they do not apply"
        )
    return tuple(said)


def _said(access: Access) -> Iterator[str]:
    if access.addresses is not None:
        allow, deny = len(access.addresses.allow), len(access.addresses.deny)
        yield f"addresses: {allow} networks allowed, {deny} denied{_observed(access.addresses.mode)}"
    if access.keys is not None:
        yield f"an API key in {', '.join(_source(one) for one in access.keys.sources)}"
    if access.users is not None:
        yield "a user with a password (basic auth)"
    if access.tokens is not None:
        names = ", ".join(one.written.name for one in access.tokens.providers)
        need = "a token, if any, of" if access.tokens.is_optional else "a token of"
        yield f"{need} {names}{_observed(access.tokens.mode)}"
    if access.external_auth is not None:
        yield asked_said(access.external_auth)
    if access.csrf is not None:
        yield f"no changes from foreign sites{_observed(access.csrf.mode)}"
    for rule in access.rules:
        yield f"rule {rule.name}: {rule.action}{_observed(rule.mode)}"


def asked_said(asked: ExternalAuth) -> str:
    """Say who is asked."""
    return f"asks {asked.cluster} over {asked.protocol} whether it may pass"


def _source(source: msgspec.Struct) -> str:
    given = ((name, getattr(source, name)) for name in ("header", "query", "cookie"))
    return next((f"{name} {value}" for name, value in given if value is not None), "")


def _observed(mode: str) -> str:
    return " (observe: counted, never refused)" if mode == "observe" else ""
