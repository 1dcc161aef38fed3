"""Detection: who looks bad and why, what to do about it, for how long, and what it may never cost a good client.

Pure: time arrives inside events, what to do leaves as actions. The way of a fact through this room: `sight` (a second of
traffic) → `detectors` (findings) → `judge` (a rung of the `ladder`) → `guards` (ten checks) → `ledger` (verdicts in force).
`guard` is the machine around them. Previous room: `traffic` counts. Next room: `app` hands verdicts to the edges.
"""
