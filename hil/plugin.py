"""The pytest plugin of the hardware-in-the-loop suite."""
