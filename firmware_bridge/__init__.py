"""The lowest layer: the target board, and everything that both ends of a link must agree on.

Knows what a board is, what a package is, and how bytes cross a link. Refuses to know how a network was
trained, what a measurement means, or who typed the command. It is the only floor that a board carries.
"""
