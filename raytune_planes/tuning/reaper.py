"""Frees the workers of a Ray Train group at once when its trial is lost, which Ray itself may do late or never.

A group's placement outlives the trial's process when that dies (ray issues 54305, 58515), and Ray's own cleaner asks
the dashboard's state service, which is not running here. The controller is killed first: without its placement group
alone it would start a new one. Uses internals of Ray, hence the upper bound on its version in ``pyproject.toml``.
"""

from __future__ import annotations

import contextlib
from typing import Any

import ray
import ray.cloudpickle
from ray._raylet import PlacementGroupID
from ray.experimental import internal_kv
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group

NAMESPACE = b"raytune-planes-groups"


class Remember(WorkerGroupCallback):
    """Notes a trial's controller and placement group where the driver finds them. Runs in the controller."""

    def __init__(self, trial_id: str) -> None:
        self._key = trial_id.encode()

    def before_worker_group_start(self, *_: Any) -> None:
        self._note(None)

    def after_worker_group_start(self, group: Any) -> None:
        self._note(group.get_worker_group_state().placement_group_handle.placement_group.id.binary())

    def _note(self, placement: bytes | None) -> None:
        told = ray.cloudpickle.dumps((ray.get_runtime_context().current_actor, placement))
        internal_kv._internal_kv_put(self._key, told, overwrite=True, namespace=NAMESPACE)


def kill(trial: Any) -> None:
    """End the process of one of Tune's trials, which hangs; Tune then takes it for lost."""
    actor = trial.temporary_state.ray_actor
    if actor is not None:
        ray.kill(actor)


def reap(trial_id: str) -> None:
    """End whatever still runs of a trial's worker group. Runs in the driver; harmless when nothing does."""
    if not ray.is_initialized():
        return
    key = trial_id.encode()
    told = internal_kv._internal_kv_get(key, namespace=NAMESPACE)
    if not told:
        return
    controller, placement = ray.cloudpickle.loads(told)
    with contextlib.suppress(Exception):  # it has ended already, in one of several ways
        ray.kill(controller, no_restart=True)
    if placement:
        remove_placement_group(PlacementGroup(PlacementGroupID(placement)))
    internal_kv._internal_kv_del(key, namespace=NAMESPACE)
