"""A study from the command line, and what is done to it: processes killed at seeded moments, then ``--resume``."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from tests.chaos.server import Server

SPACE = """
about: Does it survive?
objectives: [{{metric: val/fgvc/accuracy}}, {{metric: val/hrplanes/iou}}]
floors: {{val/planesnet/accuracy: 0.1}}
fixed:
  budget.epochs: {epochs}
  budget.steps_per_epoch: {steps}
  budget.batch_size: 8
  model.backbone.width: 8
  model.dit.heads: 2
  model.decoder.width: 4
  datasets.planesnet.image_size: 16
  datasets.hrplanes.image_size: 16
  datasets.fgvc.image_size: 16
search:
  optim.lr: {{float: [1e-4, 1e-2], log: true}}
  datasets.fgvc.share: {{float: [0.5, 4.0], log: true}}
  datasets.fgvc.head.depth: {{int: [0, 2]}}
  datasets.fgvc.head.width: {{choice: [16, 32], when: {{datasets.fgvc.head.depth: [1, 2]}}}}
  stopping.rule: {{choice: [none, stop, stop_and_go]}}
study:
  rungs: {{grace: 0.4, reduction: 2}}
"""
GONE_S = 60.0
"""How long the processes of a killed driver may take to be gone."""
TITLES = {"actor": ("ray::ImplicitFunc",), "worker": ("ray::RayTrainWorker", "ray::_RayTrainWorker")}
"""How the processes of a trial call themselves: what Tune wraps a function in, and a worker of a Train group."""


@dataclass(frozen=True)
class Blow:
    """``what`` is killed once ``epochs`` epochs are recorded and ``delay_s`` more have passed."""

    what: str
    """``driver``, ``actor``, ``worker`` or ``server``."""
    epochs: int
    delay_s: float


def blows(kinds: Sequence[str], seed: int, last: int, longest_s: float = 1.0) -> tuple[Blow, ...]:
    """One blow of each of ``kinds`` in random order, at different epochs before ``last``."""
    chance = random.Random(seed)
    order, moments = list(kinds), sorted(chance.sample(range(1, last), len(kinds)))
    chance.shuffle(order)
    return tuple(Blow(what, at, chance.uniform(0, longest_s)) for what, at in zip(order, moments, strict=True))


@dataclass
class Study:
    """One study on the command line: its words, its driver, and every process that its drivers ever had."""

    out: Path
    name: str
    words: tuple[str, ...]
    """All that follows ``tune`` at the first start."""
    driver: subprocess.Popen[Any] | None = None
    starts: int = 0
    dead: list[psutil.Process] = field(default_factory=list)
    """Processes of killed drivers."""

    @property
    def folder(self) -> Path:
        return self.out / self.name

    @property
    def epochs(self) -> int:
        """Epochs on record."""
        return sum(path.read_bytes().count(b"\n") for path in self.folder.glob("trials/*/epochs.jsonl"))

    def start(self) -> None:
        """Start it, or go on with it after its driver's death."""
        known = ("--resume", self.name, "--out", str(self.out))
        words = known if self.starts else (*self.words, "--name", self.name, "--out", str(self.out))
        self.starts += 1
        self.out.mkdir(parents=True, exist_ok=True)
        with (self.out / f"{self.name}.log").open("ab") as log:
            self.driver = self.launch([sys.executable, "-m", "raytune_planes", "tune", *words], log)

    def launch(self, command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[Any]:
        """Start the driver, which writes to ``log``."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)

    def children(self) -> list[psutil.Process]:
        assert self.driver is not None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.driver.pid).children(recursive=True)
        return []

    def kill(self) -> None:
        """SIGKILL the driver, and nothing else."""
        assert self.driver is not None
        self.dead += self.children()
        self.driver.kill()
        self.driver.wait()

    def ended(self) -> int | None:
        """Exit status; None while it runs."""
        assert self.driver is not None
        return self.driver.poll()

    def said(self) -> str:
        return (self.out / f"{self.name}.log").read_text(errors="replace")

    def left(self) -> list[str]:
        """Command lines of processes that killed drivers have left running for longer than ``GONE_S``."""
        _, alive = psutil.wait_procs(self.dead, timeout=GONE_S)
        return [" ".join(_title(p))[:200] for p in alive if p.is_running()]


def attack(study: Study, plan: Sequence[Blow], server: Server | None, *, limit_s: float) -> list[str]:
    """Run ``study`` to its end while ``plan`` happens to it; returns what was done, in order.

    Raises:
        TimeoutError: it did not end within ``limit_s`` seconds.
    """
    deadline, done, open_blows = time.monotonic() + limit_s, [], list(plan)
    study.start()
    try:
        while True:
            if time.monotonic() > deadline:
                raise TimeoutError(
                    f"not ended after {limit_s:g} s, with {study.epochs} epochs:\n{study.said()[-3000:]}"
                )
            if open_blows and study.epochs >= open_blows[0].epochs:
                blow = open_blows.pop(0)
                time.sleep(blow.delay_s)
                if _strike(blow.what, study, server):
                    done.append(f"{blow.what} at {study.epochs} epochs")
                elif study.ended() is None:
                    open_blows.insert(0, Blow(blow.what, study.epochs, 0.2))  # nothing of the kind runs now
            if study.ended() is not None:
                return done
            time.sleep(0.05)
    finally:
        if study.ended() is None:
            study.kill()


def _strike(what: str, study: Study, server: Server | None) -> bool:
    if what == "server":
        assert server is not None
        server.kill()
        server.start()
        return True
    if study.ended() is not None:
        return False
    if what == "driver":
        study.kill()
        study.start()
        return True
    for process in study.children():
        if any(part.startswith(TITLES[what]) for part in _title(process)[:1]):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
                return True
    return False


def _title(process: psutil.Process) -> list[str]:
    with suppress(psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return process.cmdline()
    return []
