"""Where planes are, as boxes with a score."""
