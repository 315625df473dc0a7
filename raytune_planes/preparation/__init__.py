"""From settings and a data folder to what a trial trains on: decoded arrays and prompt embeddings."""
