"""gRPC: `ads` speaks xDS, `edges` speaks to agents."""
