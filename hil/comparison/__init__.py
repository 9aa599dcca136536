"""Two packages or two runs against each other: what may be compared, how sure a difference is, what came before."""
