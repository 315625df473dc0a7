"""Frees the workers of a Ray Train group at once when its trial is lost, which Ray itself may do late or never.

A group's placement outlives the trial's process when that dies (ray issues 54305, 58515), and Ray's own cleaner asks
the dashboard's state service, which is not running here. The controller is killed first: without its placement group
alone it would start a new one.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

import ray
import ray.cloudpickle
from ray.util.placement_group import remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from raytune_planes.tuning import ray_hooks

log = logging.getLogger(__name__)

REGISTRY = "raytune-planes-groups"
PATIENCE_S = 30.0


class Registry:
    """By trial, the controller and the placement group of its workers.

    They are pickled: a handle that an actor holds would keep the controller alive after its trial.
    """

    def __init__(self) -> None:
        self._notes: dict[str, bytes] = {}

    def note(self, trial_id: str, group: bytes) -> None:
        self._notes[trial_id] = group

    def take(self, trial_id: str) -> bytes | None:
        return self._notes.pop(trial_id, None)


@contextlib.contextmanager
def registry() -> Iterator[None]:
    """Inside the block, an actor beside the driver holds the registry of this study."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    actor = ray.remote(Registry).options(name=REGISTRY, num_cpus=0, scheduling_strategy=here).remote()
    try:
        yield
    finally:
        ray.kill(actor)


def remembering(trial_id: str) -> list[Any]:
    """Callbacks of a Ray Train run that note its controller and placement group where the driver finds them."""
    base: Any = ray_hooks.worker_group_callback()
    if base is None:
        return []

    class Remember(base):
        """Runs in the controller."""

        def before_worker_group_start(self, *_: Any) -> None:
            _note(trial_id, None)

        def after_worker_group_start(self, group: Any) -> None:
            _note(trial_id, ray_hooks.placement_of(group))

    return [Remember()]


def _note(trial_id: str, placement: Any) -> None:
    group = ray.cloudpickle.dumps((ray.get_runtime_context().current_actor, placement))
    with contextlib.suppress(ValueError):  # no registry: the driver is ending
        ray.get_actor(REGISTRY).note.remote(trial_id, group)


def kill(trial: Any) -> None:
    """End the process of one of Tune's trials, which hangs; Tune then takes it for lost."""
    actor = ray_hooks.process_of(trial)
    if actor is not None:
        ray.kill(actor)


def reap(trial_id: str) -> None:
    """End whatever still runs of a trial's worker group. Runs in the driver; harmless when nothing does."""
    if not ray.is_initialized():
        return
    try:
        group = ray.get(ray.get_actor(REGISTRY).take.remote(trial_id), timeout=PATIENCE_S)
    except ValueError:  # no registry: every trial is alone in its process
        return
    except ray.exceptions.RayError as error:
        log.warning("processors of trial %s may stay taken until the study ends: %s", trial_id, error)
        return
    if group is None:
        return
    controller, placement = ray.cloudpickle.loads(group)
    with contextlib.suppress(Exception):  # it has ended already, in one of several ways
        ray.kill(controller, no_restart=True)
    if placement is not None:
        remove_placement_group(placement)
