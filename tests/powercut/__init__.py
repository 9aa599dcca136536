"""Power cuts at every moment of everything that changes a board's storage: `tests.powercut.campaign`."""
