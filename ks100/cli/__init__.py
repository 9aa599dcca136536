"""One small file a command; `main` is the one error boundary."""
