"""Rollouts: what a change is, how risky it is, which edge takes it when, and when it goes back.

Pure: time arrives inside events, what to do leaves as actions, configurations are opaque (a bundle is a name here).
Previous rooms: `gateway` and `envoy` make the bundle; `envoy.diff` says what differs. Next room: `app.rollouts` carries
out the actions.
"""
