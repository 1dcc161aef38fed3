"""Seawall: a self-hosted network perimeter. Python thinks, Envoy acts.

A pure core (`gateway`, `envoy`, `xds`, `fleet`, `kit`) decides; a thin shell (`source`, `server`, `agent`, `console`,
`app`, `cli`) does the I/O. `docs/architecture.md` draws the flow.
"""
