"""The package (.ksm): its manifest, envelope and container, and all rules that decide whether a board may run it.

Owns the bytes and the rules. Refuses to know files, sockets and clocks: they are passed in.
"""
