"""A package that somebody else might write: a dataset, a task and a tracker, joined by entry points."""
