"""Differences: what turns one snapshot into another, in words that people use, at the cost of what changed.

Pure. `compare` is the way in; one file for each noun that can differ; `notes` collects, `standing` knows what the base is as
a whole (sizes, who uses whom) so that nobody has to walk over it. Only resources of Seawall's own making are understood;
anything else is R3. Next room: `rollout.risk` and `rollout.guards`.
"""
