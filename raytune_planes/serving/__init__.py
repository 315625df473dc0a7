"""Trained models outside of training: prediction for pictures by one model, by ensembles, or served by MLflow."""

from raytune_planes.serving.predictor import Predictor
from raytune_planes.serving.served import serve

__all__ = ["Predictor", "serve"]
