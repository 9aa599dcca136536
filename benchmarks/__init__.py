"""Figures as ratios against a named peer or a physical limit, both in one run; `harness` has the shape they share."""
