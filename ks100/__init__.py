"""The top floor: what a person or a CI job does. Knows everything, is imported by nothing."""
