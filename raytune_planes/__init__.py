"""Tune one model on several aircraft image datasets at once."""

__version__ = "0.1.0"
