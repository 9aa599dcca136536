"""A run's results survive the disk, and their verdict is the worst that happened."""

from __future__ import annotations
