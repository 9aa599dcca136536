"""The second floor: making a graph for a target: captures, networks, quantization, evaluation. No I/O to boards."""
