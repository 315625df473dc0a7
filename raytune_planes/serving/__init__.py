"""Trained models outside of training: they look at pictures, alone, as ensembles, or behind MLflow."""

from raytune_planes.serving.predictor import Predictor
from raytune_planes.serving.served import serve

__all__ = ["Predictor", "serve"]
