"""Figures with unit, limit, source and basis; a run's results, and their comparison with a baseline."""
