"""Graph → Envoy messages → snapshot, and the bootstrap. Pure; the only room that knows Envoy's messages.
"""
