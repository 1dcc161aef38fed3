"""Guards: what may not go out, each one a rule that an outage has taught.

Pure: one file a guard, a line each in `registry`; `judge` asks them all. Nothing here decodes Envoy's messages: `envoy.diff`
hands over what it found as `Facts`. What acts at run time (the agent's fence, the bake) is named in each file.
Next room: `rollout.conductor` holds or refuses.
"""
