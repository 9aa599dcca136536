"""Training of float networks from captures and a recipe. Imports TensorFlow."""

from models.training.events import Listener, Stage, TrainingEvent
from models.training.export import export_float
from models.training.network import TrainedNetwork
from models.training.recipe import Recipe, known_recipes
from models.training.train import train

__all__ = [
    "Listener",
    "Recipe",
    "Stage",
    "TrainedNetwork",
    "TrainingEvent",
    "export_float",
    "known_recipes",
    "train",
]
