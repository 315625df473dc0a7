"""From the table of tasks to what they do: the implementations that a configuration's model consists of."""

from __future__ import annotations

from collections.abc import Mapping

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.plugins import named
from raytune_planes.tasks import TASKS
from raytune_planes.tasks.implementation import Implementation


def make_tasks(config: TrialConfig, infos: Mapping[str, Info]) -> dict[str, Implementation]:
    """Every task of the table that at least one dataset wants, in the table's order."""
    made = {}
    for name, task in TASKS.items():
        implementation: Implementation = named(task.implementation)(task, config, infos)
        if any(implementation.wants(dataset) for dataset in infos):
            made[name] = implementation
    return made
