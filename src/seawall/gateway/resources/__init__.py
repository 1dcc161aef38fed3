"""The shapes of what operators write: one Struct for the spec of each kind, strictly typed, nothing resolved.

Pure. Fields are the Gateway API's in snake_case; defaults are those that the API server would fill in; a list that was
not written is empty, anything else that was not written is None. The schemas of the API are the contract: a test compares
them field by field. Where each shape lives:

    scalars     the constrained strings and numbers             refs        references, label selectors
    gateways    GatewayClass, Gateway, ListenerSet              http        HTTPRoute
    filters     what HTTPRoute and GRPCRoute filters hold       grpc        GRPCRoute
    streams     TLSRoute, TCPRoute, UDPRoute                    policies    ReferenceGrant, BackendTLSPolicy, …
    core        Namespace, Service, EndpointSlice, Secret, ConfigMap (Kubernetes' own: unknown fields are ignored)
    backends    Backend (our own)                               kinds       the table of them all

Next room: `gateway.decode` fills them, `gateway.resolve` reads them.
"""
