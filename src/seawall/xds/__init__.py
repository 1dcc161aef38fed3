"""The xDS protocol without the wire: resources, snapshots, subscriptions and the delta stream as a pure machine.

A `Resource`'s body is opaque bytes here: only `seawall.envoy` makes messages and only `seawall.server` speaks gRPC.
Next room: `seawall.server.ads`.
"""
