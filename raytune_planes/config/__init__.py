"""Every setting of a trial: its type, default, unit and range, a file per subject.

A setting's name is its dotted path (``datasets.fgvc.head.depth``), the same in search spaces, in ``--set``, in saved
files, in MLflow parameters and in error messages. ``settings.py`` builds and flattens the tree.
"""

from raytune_planes.config.augmentation import Augment, Policy
from raytune_planes.config.cautions import cautions
from raytune_planes.config.dataset import DECODED_FOR, Dataset, Head
from raytune_planes.config.devices import Devices
from raytune_planes.config.losses import Balancing, Losses
from raytune_planes.config.model import Backbone, Decoder, Dit, Model, Text
from raytune_planes.config.optim import Optim
from raytune_planes.config.split import Split
from raytune_planes.config.steps import Budget, Mixing
from raytune_planes.config.stopping import Stop, Stopping
from raytune_planes.config.trial import FREEZABLE, TrialConfig

__all__ = [
    "DECODED_FOR",
    "FREEZABLE",
    "Augment",
    "Backbone",
    "Balancing",
    "Budget",
    "Dataset",
    "Decoder",
    "Devices",
    "Dit",
    "Head",
    "Losses",
    "Mixing",
    "Model",
    "Optim",
    "Policy",
    "Split",
    "Stop",
    "Stopping",
    "Text",
    "TrialConfig",
    "cautions",
]
