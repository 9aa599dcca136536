"""Running the active model on the board: engine, pacing, clock and power rails."""
