"""A study on several hosts: one is drained, one joins late, one is killed, and then the head with its driver."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from ray.cluster_utils import Cluster

from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.tracking import read_study
from tests.chaos.attack import SPACE, Study
from tests.tuning.hosts import SIZE, drain, kill, loopback, with_a_head

EPOCHS = 12
"""Of a trial: enough that one is in its middle whenever something happens."""
TRIALS = 4
DRAINED_AT, KILLED_AT, HEAD_AT = 2, 10, 20
"""Epochs on record of the whole study when each happens."""


def prepared(root: Path, *more: str) -> Study:
    """The study, not started: small enough for hosts that are processes of one machine."""
    synthesise(root / "data", planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    (root / "hosts.yaml").write_text(SPACE.format(epochs=EPOCHS, steps=6))
    words = (str(root / "hosts.yaml"), "--data", str(root / "data"), "--cache", str(root / "cache"), "--seed", "3")
    words += ("--trials", str(TRIALS), "--no-rungs", "--no-references", "--set", "stopping.rule=none")
    return Study(root / "out", "hosts", (*words, *more))


def play(study: Study, *, limit_s: float) -> list[str]:
    """Run ``study`` to its end; returns what of its hosts did not come to pass as it should.

    The processes of the last host outlive their head: a trial of theirs must not go on beside the same trial of the
    resumed study.

    Raises:
        TimeoutError: it did not end within ``limit_s`` seconds.
    """
    deadline = time.monotonic() + limit_s

    def until(holds: Callable[[], bool]) -> None:
        while not holds() and study.ended() is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {study.epochs} epochs: {study.said()[-3000:]}")
            time.sleep(0.05)

    with loopback(), pytest.MonkeyPatch.context() as patch:
        before = with_a_head()
        after: Cluster | None = None
        try:
            first, second = (before.add_node(num_cpus=1, **SIZE) for _ in range(2))
            patch.setenv("RAY_ADDRESS", before.address)
            study.start()
            until(lambda: study.epochs >= DRAINED_AT)
            drain(before, first)
            before.add_node(num_cpus=2, **SIZE)
            until(lambda: study.epochs >= KILLED_AT)
            kill(before, second)
            until(lambda: study.epochs >= HEAD_AT and "lost a process" in study.said())
            was_running = study.ended() is None
            study.kill()
            kill(before, before.head_node)
            after = with_a_head()
            after.add_node(num_cpus=2, **SIZE)
            patch.setenv("RAY_ADDRESS", after.address)
            study.start()
            until(lambda: False)
        finally:
            if study.ended() is None:
                study.kill()
            for cluster in filter(None, (before, after)):
                for node in cluster.list_all_nodes():
                    kill(cluster, node)
    return _faults(study, was_running)


def _faults(study: Study, was_running: bool) -> list[str]:
    said, trials = study.said(), read_study(study.folder).trials
    expected = {
        "the study was running when its head was killed": was_running,
        "the resumed study ended by itself": study.ended() == 0,
        "a trial left the drained host": any("left" in t.tags for t in trials),
        "a trial lost its process with the killed host": "lost a process and continues" in said,
    }
    return [f"not so: {what}" for what, holds in expected.items() if not holds]
