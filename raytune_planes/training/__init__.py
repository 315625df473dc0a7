"""The trainer: one loop over several datasets, with no knowledge of Ray."""
