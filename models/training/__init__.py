"""Training and fine-tuning recipes. Imports TensorFlow."""
