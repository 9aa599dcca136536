"""The third floor: measuring a board. Knows models only as captures, evaluation and graphs."""
