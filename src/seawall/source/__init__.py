"""Where resources come from: a watched folder of manifests.
"""
