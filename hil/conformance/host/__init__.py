"""Rejection conformance of the host: a board that plays every role of the protocol, and lies in one place at a time."""
