"""Statements of who did what, and the append-only log that keeps them."""
