"""What runs on a board: it installs, verifies, runs and measures, and executes nothing unsigned."""
