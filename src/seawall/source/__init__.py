"""Where resources come from: a folder of manifests → decoded objects and their changes.

I/O: reads files, watches folders. Does what the API server does in Kubernetes: defaults (through `gateway.decode`),
generations, creation times, Namespaces that are used without being written. What is valid stays live.

    files      the source: one folder or file, loaded once or watched      change    what a source says: the record
    catalog    which file says what; whose version is live                 journal   creation times and generations, kept
    tree       which files there are                                       watch     what the kernel says of them
    parse      bytes → plain data                                          locate    a path inside a document → line, column

Next room: `gateway.resolve`, by way of `app`.
"""
