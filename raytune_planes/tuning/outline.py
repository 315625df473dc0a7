"""What a view shows of a study from its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raytune_planes.catalog import primary_metric
from raytune_planes.processors import in_words
from raytune_planes.records import End, TrialRecord, metric
from raytune_planes.settings import epochs_in_all, flatten
from raytune_planes.terminal import Outline
from raytune_planes.tuning.cluster import Cluster
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.pools import Pools


def outline_of(
    plan: StudyPlan, folder: Path, pools: Pools, cluster: Cluster, earlier: Sequence[TrialRecord]
) -> Outline:
    """``folder``: of the study. ``earlier``: its trials of other runs."""
    first = plan.config(plan.space.first())
    machines = f" of {len(cluster.nodes)} machines" if len(cluster.nodes) > 1 else ""
    place = f"a Ray cluster{machines} ({cluster.cpus:g} CPUs)" if cluster.joined else in_words()
    return Outline(
        name=plan.name,
        goal=plan.space.goal,
        primary={n: metric("val", n, primary_metric(n, d.reader)) for n, d in first.staged[-1][1].active.items()},
        trials=plan.settings.trials,
        epochs=epochs_in_all(flatten(first)),
        about=f"{pools}, on {place}; records in {folder}",
        has_places=len(cluster.nodes) > 1 or len(pools.now) > 1,
        at_once=pools.at_once,
        folder=folder,
        earlier=tuple(t for t in earlier if t.end not in (End.RUNNING, End.INTERRUPTED)),
    )
