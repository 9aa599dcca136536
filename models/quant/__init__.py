"""From a float network and a precision plan to one mixed-precision TFLite graph."""
