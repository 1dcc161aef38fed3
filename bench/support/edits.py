"""Edits of built resources: what the edge would cost without one of its defaults.

Takes the snapshot that the real builder made and changes one thing in it, so that the price of that thing shows. None of
these configurations is one to run.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from seawall.envoy.messages import full_name
from seawall.envoy.proto import message
from seawall.kit.digest import digest
from seawall.xds.resource import CLUSTER, LISTENER, SCOPE, Resource, TypeUrl
from seawall.xds.snapshot import Snapshot

_HCM = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_PROTOCOL = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
Edit = Callable[[Snapshot], Snapshot]


def edited(snapshot: Snapshot, type_url: TypeUrl, change: Callable[[Any], None]) -> Snapshot:
    """Change every resource of a type."""
    return Snapshot.of(_edit(one, change) if one.type_url == type_url else one for one in snapshot.all())


def of_manager(change: Callable[[Any], None]) -> Edit:
    """Change the connection manager of every listener."""

    def inside(listener: Any) -> None:
        for chain in listener.filter_chains:
            packed = chain.filters[0].typed_config
            manager: Any = message(_HCM).FromString(packed.value)
            change(manager)
            packed.value = manager.SerializeToString(deterministic=True)

    return lambda snapshot: edited(snapshot, LISTENER, inside)


def without(*fields: str) -> Callable[[Any], None]:
    """Clear fields."""

    def change(built: Any) -> None:
        for field in fields:
            built.ClearField(field)

    return change


def only_router(manager: Any) -> None:
    """Keep the last filter alone."""
    del manager.http_filters[:-1]


def without_rescope(manager: Any) -> None:
    del manager.http_filters[0]


def without_places(manager: Any) -> None:
    """Keep the first filter and the last."""
    del manager.http_filters[1:-1]


def without_safe_retries(cluster: Any) -> None:
    for packed in cluster.typed_extension_protocol_options.values():
        options: Any = message(_PROTOCOL).FromString(packed.value)
        options.ClearField("retry_policy")
        packed.value = options.SerializeToString(deterministic=True)


def keep_scope_header(scope: Any) -> None:
    scope.route_configuration.ClearField("request_headers_to_remove")


def one_table(snapshot: Snapshot) -> Snapshot:
    """Put the routes into the listener: no scopes, no header that names one, only the router."""
    scope: Any = next(
        message(full_name(SCOPE)).FromString(one.body)
        for name, one in snapshot.resources(SCOPE).items()
        if not name.endswith("|*")
    )
    table = scope.route_configuration
    table.ClearField("typed_per_filter_config")
    table.ClearField("request_headers_to_remove")

    def inline(manager: Any) -> None:
        manager.ClearField("scoped_routes")
        manager.ClearField("early_header_mutation_extensions")
        manager.route_config.CopyFrom(table)
        only_router(manager)

    return of_manager(inline)(snapshot)


def of_scopes(change: Callable[[Any], None]) -> Edit:
    return lambda snapshot: edited(snapshot, SCOPE, change)


def of_clusters(change: Callable[[Any], None]) -> Edit:
    return lambda snapshot: edited(snapshot, CLUSTER, change)


def of_listeners(change: Callable[[Any], None]) -> Edit:
    return lambda snapshot: edited(snapshot, LISTENER, change)


def both(*edits: Edit) -> Edit:
    """Make several edits."""

    def change(snapshot: Snapshot) -> Snapshot:
        for edit in edits:
            snapshot = edit(snapshot)
        return snapshot

    return change


def _edit(resource: Resource, change: Callable[[Any], None]) -> Resource:
    built: Any = message(full_name(resource.type_url)).FromString(resource.body)
    change(built)
    body = built.SerializeToString(deterministic=True)
    return msgspec.structs.replace(resource, body=body, version=digest(body))
