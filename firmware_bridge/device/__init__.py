"""What a board is: its profile, a read-only view of a graph, what a graph costs, and the runtimes that run it."""
