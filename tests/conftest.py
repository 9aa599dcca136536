"""What all tests share."""

from hypothesis import settings

# A busy machine is no broken promise: no example is timed.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
