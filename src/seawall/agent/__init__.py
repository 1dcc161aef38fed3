"""On the edge host: supervise one Envoy, relay ADS to it, keep the last good snapshot on disk."""
