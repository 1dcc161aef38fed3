"""What several benchmarks need: programs and their cost, load, probes, manifests, a hand-made ADS server.

Nothing here measures a promise by itself; that is one file a question, one room up.
"""
