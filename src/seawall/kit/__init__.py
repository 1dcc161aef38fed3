"""The few words that everybody uses: errors, places, secrets, digests, units.

Pure. Nothing here knows what Seawall is for; routes, edges and protocols have packages of their own.
"""
