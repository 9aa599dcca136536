"""Procedural captures: paired EO and LWIR frames with known truth, by seed."""
