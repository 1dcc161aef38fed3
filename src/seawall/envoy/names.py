"""How graph names become Envoy names. Pure.

A scope is the name of a table in scope keys and resource names: no `:` (the scope key ends at the first one, which is
where a Host's port begins) and no `|` (it separates the table from the hostname).
"""

from seawall.gateway.graph import HostKey, Listener, TableName
from seawall.xds.resource import ResourceName


def scope(table: TableName) -> str:
    """Name a table: `tcp/[::1]/8080` → `tcp/[..1]/8080`."""
    return table.replace(":", ".").replace("|", ".")


def scope_resource(key: HostKey) -> ResourceName:
    """Name the route table of an exact hostname; wildcards and catch-all share one per table, the fallback."""
    host = "*" if key.hostname.startswith("*") else key.hostname
    return ResourceName(f"{scope(key.table)}|{host}")


def stat_prefix(listener: Listener) -> str:
    """Name a listener in metrics: one series a socket, however many hostnames it serves."""
    return f"{listener.address}_{listener.port}".replace(":", ".")
