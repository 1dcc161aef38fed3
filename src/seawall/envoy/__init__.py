"""Graph → Envoy messages → snapshot, and the bootstrap: the only room that knows what Envoy's messages mean.

Pure. `build` follows the graph; `listeners`, `filters`, `scopes`, `routes`, `clusters` and `secrets` each build one kind of
resource; `proto` holds the schema. Nothing here decides what a route means: that is `seawall.gateway`'s.
Next room: `seawall.xds`.
"""
