"""The outage museum: outages that really happened, injected through the front door into a real fleet.

One folder an outage: what happened (README.md), and how it is replayed (scenario.py). What stops it must be what the folder
says, at the stage that it says, and clients must notice no more than it says. `make museum` prints the table.
"""
