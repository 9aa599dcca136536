"""Training of float networks and quantization-aware fine-tuning, from captures and a recipe. Imports TensorFlow."""

from models.training.events import Listener, Stage, TrainingEvent
from models.training.export import export_float
from models.training.network import TrainedNetwork
from models.training.qat import QatNetwork, finetune_qat
from models.training.recipe import Recipe, known_recipes
from models.training.train import train

__all__ = [
    "Listener",
    "QatNetwork",
    "Recipe",
    "Stage",
    "TrainedNetwork",
    "TrainingEvent",
    "export_float",
    "finetune_qat",
    "known_recipes",
    "train",
]
