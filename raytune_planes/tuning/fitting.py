"""Fits a study to its machine: its disk, and how many trials memory holds at once, also by what trials taught."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from raytune_planes.memory import GIB, granted
from raytune_planes.records import TrialRecord
from raytune_planes.tuning.cluster import Cluster
from raytune_planes.tuning.disk import need_of, refuse_small_disk
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.pools import Pools

STUDY_GIB = 1.2
"""Of the driver and Ray's own processes; the driver alone took 0.65 (``tests/benchmarks``)."""
PROCESS_GIB = 0.6
"""Of a process that trains, with pictures that all of them share: 0.45 with the default model, and some to spare."""


def fit_machine(pools: Pools, plan: StudyPlan, cluster: Cluster, folder: Path) -> Iterator[str]:
    """``fit_memory``, then the disk of the study's ``folder``. Raises UserError where that is too small."""
    yield from fit_memory(pools, plan, cluster)
    refuse_small_disk(need_of(plan, pools.at_once), folder)


def fit_memory(pools: Pools, plan: StudyPlan, cluster: Cluster) -> Iterator[str]:
    """Have no more trials at once than this machine's memory holds, unless a number was asked for; says so."""
    fit = trials_in_memory(plan.workers)
    if not cluster.joined and plan.concurrent is None and fit < pools.at_once:
        yield in_words(fit, pools.at_once)
        pools.at_once = fit


def learn_from(
    trial: TrialRecord, pools: Pools | None, say: Callable[[str], None], place: Mapping[str, Any] | None = None
) -> TrialRecord:
    """Give later trials more memory: by what ``trial`` teaches, which lacked it at ``place`` of ``Pools.take``, or by
    the tags that it has of an earlier run; says so.

    Returns:
        The trial, with tags for a later run.
    """
    if pools is None:
        return trial
    trial = replace(trial, tags={**trial.tags, **(pools.taught(place) if place else {})})
    if learnt := pools.remember(trial.tags):
        say(f"trial {trial.number} did not fit into memory: {learnt}")
    return trial


def trials_in_memory(workers: int, bytes_: int | None = None) -> int:
    """How many trials of so many processes fit into ``bytes_`` (what is granted when None); at least 1."""
    left_gib = (granted() if bytes_ is None else bytes_) / GIB - STUDY_GIB
    return max(1, int(left_gib / (PROCESS_GIB * workers)))


def in_words(fit: int, processors: int) -> str:
    """Why fewer trials run at once than there are processors for."""
    return (
        f"{granted() / GIB:.1f} GiB of memory are granted here, enough for {fit} trial{'s' * (fit > 1)} at once "
        f"({PROCESS_GIB:g} GiB a process, {STUDY_GIB:g} for the study) where the processors would do for {processors}; "
        "--concurrent asks for another number"
    )
