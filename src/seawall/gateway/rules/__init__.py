"""What the API server would refuse although each field by itself is fine: the CEL rules of the API, in Python.

Pure. A rule is a function in a table; beside it stand, word for word, the messages of the API's rules that it implements,
and a test compares those with the schemas. A few rules are ours: they have no quote and say why they are there.

    rule        what a rule is, and how a table of them runs       unique     lists that are sets or maps
    filters     filters of HTTPRoutes and GRPCRoutes               routes     routes of every kind
    gateways    Gateway, ListenerSet, selectors                    policies   BackendTLSPolicy, XBackendTrafficPolicy
    core        Kubernetes' own kinds                              backends   Backend
    names       host names, addresses, labels                      table      all of them by kind
"""
