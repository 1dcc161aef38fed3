"""A PostgreSQL for the tests of the history."""

from tests.support.postgres import postgres

__all__ = ["postgres"]
