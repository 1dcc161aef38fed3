"""HTTP beside the traffic: the JSON API that the command line asks, and /metrics."""
