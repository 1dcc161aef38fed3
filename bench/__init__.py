"""Benchmarks: what Seawall promises in numbers, measured beside others in the same run.

Real processes, real sockets, loopback. Each file answers one question and is one command: `python -m bench NAME`;
`python -m bench all` asks them all. `support` holds what several need: programs, load, probes, manifests.
The figures that the documentation quotes are in docs/benchmarks.md, written by `--write`.
"""
