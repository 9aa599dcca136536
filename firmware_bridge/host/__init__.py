"""The host's end: what one can ask of a board, over any link."""
