"""Making a graph for a target: captures, networks, quantization, evaluation. No I/O to boards."""

from models.reproducible import settle

settle()  # before any module below imports TensorFlow
