"""A study on several hosts: one is drained, one joins late, one is killed, and then the head with its driver."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest

from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.tracking import read_study
from tests.chaos.agreement import disagreements
from tests.chaos.attack import SPACE, Study
from tests.tuning.hosts import SIZE, drain, kill, loopback, with_a_head

EPOCHS = 12
"""Of a trial: enough that one is in its middle whenever something happens."""
TRIALS = 4
DRAINED_AT, KILLED_AT, HEAD_AT = 2, 10, 20
"""Epochs on record of the whole study when each happens."""


def prepared(root: Path, steps: int = 6) -> Study:
    """The study, not started: with ``steps`` of each epoch as few, small enough for hosts that are processes here."""
    synthesise(root / "data", planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    (root / "hosts.yaml").write_text(SPACE.format(epochs=EPOCHS, steps=steps))
    words = (str(root / "hosts.yaml"), "--data", str(root / "data"), "--cache", str(root / "cache"), "--seed", "3")
    words += ("--trials", str(TRIALS), "--no-rungs", "--no-references", "--set", "stopping.rule=none")
    return Study(root / "out", "hosts", words)


class Stage(Protocol):
    """A cluster with a head that trains nothing, and what happens to it."""

    def join(self, cpus: int) -> Any:
        """One more host; returns what the other calls know it by."""

    def drain(self, host: Any) -> None:
        """It is told that it ends in two minutes."""

    def kill(self, host: Any) -> None:
        """It is gone at once."""

    def new_head(self) -> None:
        """The head is gone at once, and another takes its place, with which no host is."""


class Loopback:
    """Hosts that are processes of this machine; the environment names their head."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        self._clusters = [with_a_head()]
        patch.setenv("RAY_ADDRESS", self._clusters[-1].address)

    def join(self, cpus: int) -> Any:
        return self._clusters[-1].add_node(num_cpus=cpus, **SIZE)

    def drain(self, host: Any) -> None:
        drain(self._clusters[-1], host)

    def kill(self, host: Any) -> None:
        kill(self._clusters[-1], host)

    def new_head(self) -> None:
        self.kill(self._clusters[-1].head_node)
        self._clusters.append(with_a_head())
        self._patch.setenv("RAY_ADDRESS", self._clusters[-1].address)

    def end(self) -> None:
        for cluster in self._clusters:
            for node in cluster.list_all_nodes():
                kill(cluster, node)


@contextmanager
def on_loopback() -> Iterator[Loopback]:
    """The stage of this machine alone; nothing of it is left afterwards."""
    with loopback(), pytest.MonkeyPatch.context() as patch:
        stage = Loopback(patch)
        try:
            yield stage
        finally:
            stage.end()


def play(study: Study, stage: Stage, *, limit_s: float) -> list[str]:
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

    first, second = (stage.join(1) for _ in range(2))
    study.start()
    try:
        until(lambda: study.epochs >= DRAINED_AT)
        stage.drain(first)
        stage.join(2)
        until(lambda: study.epochs >= KILLED_AT)
        stage.kill(second)
        until(lambda: study.epochs >= HEAD_AT and "lost a process" in study.said())
        was_running = study.ended() is None
        study.kill()
        stage.new_head()
        stage.join(2)
        study.start()
        until(lambda: False)
    finally:
        if study.ended() is None:
            study.kill()
    return _faults(study, was_running)


def disagreements_after(study: Study) -> list[str]:
    """What does not fit between its records, its search and MLflow, once MLflow has been told what it missed."""
    uri = f"sqlite:///{study.out}/mlflow.db"
    command = [sys.executable, "-m", "raytune_planes", "sync", study.name, "--out", str(study.out)]
    subprocess.run([*command, "--tracking-uri", uri], check=True, capture_output=True)
    return disagreements(study.folder, uri, TRIALS)


def _faults(study: Study, was_running: bool) -> list[str]:
    said, trials = study.said(), read_study(study.folder).trials
    expected = {
        "the study was running when its head was killed": was_running,
        "the resumed study ended by itself": study.ended() == 0,
        "a trial left the drained host": any("left" in t.tags for t in trials),
        "a trial lost its process with the killed host": "lost a process and continues" in said,
    }
    return [f"not so: {what}" for what, holds in expected.items() if not holds]
