"""Gateway API resources, what they mean together, and what we think of each: resources → graph + status.

Pure. Knows the Gateway API and nothing of Envoy, files or clusters. Reads top to bottom as `resources` (what the operator
wrote) → `decode` (strictly) → `resolve` (with `listeners`, `routes`, `backends`, `grants`, `status`) → `graph`.
Next room: `seawall.envoy`.
"""
