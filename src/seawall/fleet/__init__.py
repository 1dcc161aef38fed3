"""Edges: who they are, what they hold, what they are told.

Pure. An *edge* is one Envoy with its agent. `wire` holds the messages between an agent and the control plane.
"""
