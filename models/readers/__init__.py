"""Real datasets into capture sets; each says what it could not read."""
