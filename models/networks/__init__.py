"""Keras networks written for integer kernels. Imports TensorFlow."""
