"""Common parts of the suite's checks: the request, the board session, installing, frames, power, forgeries."""
