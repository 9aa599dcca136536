"""Custody: signed statements, and their append-only log."""
