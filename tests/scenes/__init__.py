"""Tests of models outside of training."""
