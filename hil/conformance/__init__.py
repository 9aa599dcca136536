"""The rejection conformance suite: what a board must refuse, and must not refuse, tried on a board of any kind.

A `Rule` is one class of attack with its promise; it makes cases, each with an exact expectation. The runner tries them
on a board that trusts the suite's own keys; the reports are made from its result alone.
"""
