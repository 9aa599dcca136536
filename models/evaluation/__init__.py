"""Evaluation of detections and kinematics by condition, with intervals, and the gate. Imports no TensorFlow."""
