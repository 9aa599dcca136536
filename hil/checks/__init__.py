"""What the checks of the suite share: the request, the board session, installing, frames, power, forgeries."""
