"""Clients of the suite, small and literal: a new connection for each request, and nothing corrected on the way."""
