"""Trainings that are no trials leave a host that is about to end: references, the final training, confirmed ones."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import ray

from raytune_planes.terminal import Outline, PlainView
from raytune_planes.tracking.files import LAST
from raytune_planes.tracking.reading import epochs_digest, read_trial
from raytune_planes.tuning import cluster
from raytune_planes.tuning.again import trained
from raytune_planes.tuning.alone import train_alone
from raytune_planes.tuning.confirm import train_again
from raytune_planes.tuning.final import Long, train_long
from raytune_planes.tuning.interrupt import Interrupt
from raytune_planes.tuning.references import References
from raytune_planes.tuning.trial import Task
from tests.tuning.hosts import SIZE, drain, loopback, with_a_head
from tests.tuning.tiny import GOAL, tiny_plan

EPOCHS = 20
"""Of each training: some seconds, while its host is told to end after the first."""
DRAWN = {"optim.lr": 0.003}


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.filterwarnings("ignore")
def test_trainings_that_are_no_trials_save_and_move_before_their_host_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = {"budget.epochs": EPOCHS, "stopping.rule": "none", "datasets.planesnet.enabled": False}
    plan, said, drained = tiny_plan(tmp_path, fixed=fixed), list[str](), list[str]()
    study, names = plan.out / plan.name, ("long", "again")
    view = PlainView(shown := io.StringIO())
    view.start(Outline(plan.name, GOAL, {}, trials=1, epochs=EPOCHS))
    study.mkdir(parents=True)
    task, (long, again) = plan.task(study), (tmp_path / name for name in names)
    jobs: dict[str, tuple[Any, ...]] = {
        "long": (train_long, Long("t1", 1, DRAWN, EPOCHS, GOAL), long),
        "again": (train_again, DRAWN, 5, again),
    }

    def either(task: Task, train: Callable[..., dict[str, Any]], *arguments: Any) -> dict[str, Any]:
        return train(task, *arguments)

    with loopback():
        hosts = with_a_head()
        first = hosts.add_node(num_cpus=3, **SIZE)
        monkeypatch.setenv("RAY_ADDRESS", hosts.address)
        try:
            with cluster.connected() as joined, Interrupt() as interrupt:
                references = References(plan, task, study, view)
                references.start(0.0, at_once=1)

                def look() -> None:
                    references.advance(1)
                    if not drained and any(path.is_file() for path in tmp_path.rglob(LAST)):
                        hosts.add_node(num_cpus=3, **SIZE)
                        drain(hosts, first)
                        drained.append(first.node_id)

                results = dict(trained(plan, study, either, jobs, joined, interrupt, said.append, look))
                references.finish(at_once=1)
                alive = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
        finally:
            ray.shutdown()
            hosts.shutdown()

    assert drained
    assert drained[0] not in alive, "Ray ends a host that is to end once nothing runs there"
    host = socket.gethostname()
    left = f"leaves {host}, which is about to end, and continues on another host from its last epoch"
    assert sorted(line for line in said if "leaves" in line)[:2] == [f"a training {left}"] * 2, said
    lines = shown.getvalue().splitlines()
    assert any(line.endswith(f"trained alone {left}") for line in lines), lines
    assert any(line.endswith(f"alone starts, for comparison: {EPOCHS} epochs") for line in lines), lines
    assert not any("failed" in line for line in (*said, *lines)), (said, lines)

    calm = tmp_path / "calm"
    train_long(task, Long("t1", 1, DRAWN, EPOCHS, GOAL), calm / "long")
    mine, whole = (read_trial(folder / "long")[0] for folder in (tmp_path, calm))
    assert [e.epoch for e in mine.epochs] == list(range(1, EPOCHS + 1))
    assert epochs_digest(mine.epochs) == epochs_digest(whole.epochs)
    assert results["again"] == train_again(task, DRAWN, 5, calm / "again")
    alone = {name: train_alone(task, plan.space.first(), name, calm / name) for name in references.metrics}
    assert len(alone) == 2
    assert references.metrics == {name: found["metrics"] for name, found in alone.items()}
