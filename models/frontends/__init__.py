"""Front ends: a network of another framework becomes a float .tflite, compared with its own runtime."""

from models.frontends.convert import Imported, import_network

__all__ = ["Imported", "import_network"]
