"""The HIL checks, as pytest tests; run with --ks-board and --ks-package."""
