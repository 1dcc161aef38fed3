"""Traffic: requests as an edge saw them, counted by the second, and merged over edges into sliding windows.

Pure: bytes and instants come in as values. The way of a request through this room: `entry` (a line of the access log → columns)
→ `delta` (what one edge sends for one second) → `window` (all edges, the last 8 s, 60 s, 10 min). What does not belong here:
whether any of it is bad. Next room: `detect`.
"""
