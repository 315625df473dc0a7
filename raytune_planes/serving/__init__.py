"""Trained models outside of training: they look at pictures, alone, as ensembles, or behind MLflow."""

from raytune_planes.serving.answers import serve
from raytune_planes.serving.predictor import Predictor

__all__ = ["Predictor", "serve"]
