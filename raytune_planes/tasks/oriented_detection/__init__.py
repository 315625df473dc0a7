"""Oriented boxes of planes by a detector without anchors."""
