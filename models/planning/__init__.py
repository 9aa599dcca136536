"""From a sensitivity map and a board to the precision plan that loses least within latency and power."""
