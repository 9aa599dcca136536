"""One small file per command; `main` is the only error boundary."""
