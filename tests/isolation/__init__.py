"""Isolation: one wrong object among fifty right ones is named with its place, and the fifty keep serving."""
