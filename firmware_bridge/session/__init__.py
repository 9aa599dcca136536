"""A protocol connection driven over a link: in a thread for real links, in simulated time for tests."""
