"""How good a model is: detection and kinematics, by condition, with intervals, and the gate. Light: no TensorFlow."""
