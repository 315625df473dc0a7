"""Trainings of a study that are no trials: each a call in a process of Ray's, as many at once as fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from raytune_planes.tuning.cluster import Cluster
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.interrupt import Interrupt
from raytune_planes.tuning.leaving import LEFT, goes_on
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.pools import Pools

Key = TypeVar("Key")
Result = dict[str, Any]


def trained(
    plan: StudyPlan,
    folder: Path,
    train: Callable[..., Result],
    jobs: Mapping[Key, tuple[Any, ...]],
    cluster: Cluster,
    interrupt: Interrupt,
    say: Callable[[str], None],
    look: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Key, Result]]:
    """Each job with its result, as they end; ``failed`` holds the reason where its process was lost.

    Args:
        folder: The study's.
        train: Called with the study's task, and a job's arguments. Its process may be lost, or it leaves a host that is
            about to end (``left`` in its result), and it is called again.
        say: Is told of one that leaves its host.
        look: Called about twice a second while they run.

    Raises:
        UserError: one training does not fit into the cluster.
        KeyboardInterrupt: the person or the system wished it.
    """
    import ray

    # All in one pool, so that what is compared is trained alike.
    pools = Pools(replace(plan.needs, workers=1), lambda: cluster.nodes)
    pool = pools.now[0]
    task = ray.put(replace(plan.task(folder), workers=1, holds_card=pool.gpus > 0 and pools.has_cards))
    remote = ray.remote(num_cpus=plan.cpus_per_worker, num_gpus=pool.gpus, max_retries=2)(train)
    waiting = {remote.remote(task, *arguments): key for key, arguments in jobs.items()}
    while waiting:
        done, _ = ray.wait(list(waiting), timeout=0.5)
        if interrupt.requested:
            for reference in waiting:
                ray.cancel(reference, force=True)
            raise KeyboardInterrupt
        look()
        for reference in done:
            key = waiting.pop(reference)
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                result = {"failed": explain(error)}
            if host := result.get(LEFT):
                say(f"a training {goes_on(host)}")
                waiting[remote.remote(task, *jobs[key])] = key
                continue
            yield key, result
