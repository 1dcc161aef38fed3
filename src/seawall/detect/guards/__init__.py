"""Guards: ten checks that stand between a finding and a good client. One file each, a line each in `registry`.

Pure. A guard passes a proposal, caps its rung, narrows its scope or refuses it, and says why with the numbers; what it said goes
with the verdict for `seawall why`. Next room: `detect.judge` asks all ten until none of them objects.
"""
