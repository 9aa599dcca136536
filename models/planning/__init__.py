"""Choosing the precision plan with minimum loss within latency and power, from a sensitivity map and a profile."""
