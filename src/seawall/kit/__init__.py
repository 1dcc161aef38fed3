"""The few words that everybody uses: errors, places, secrets, digests, units.

Pure. Nothing here knows what Seawall is for; what is about routes, edges or protocols belongs to the package of that noun.
"""
