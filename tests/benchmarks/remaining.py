"""The remaining time that the terminal tells of a study, beside what it took, replayed from finished studies."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from raytune_planes.records import End, TrialRecord
from raytune_planes.settings import epochs_in_all
from raytune_planes.terminal.board import Board, Outline
from raytune_planes.terminal.remaining import span
from raytune_planes.tracking import read_study
from raytune_planes.tracking.reading import StudyFiles
from tests.benchmarks.tables import Aim, Missing, Table

SHARES = (0.25, 0.5)
"""Of a study's time, at which it is asked."""
AIM = 0.8
"""Of the ranges, that should hold what it took: they are told as 80 % ranges."""


def measure(quick: bool) -> Table:
    """Raises Missing where no studies are named. ``--quick`` changes nothing: nothing is trained."""
    named = os.environ.get("RAYTUNE_PLANES_STUDIES", "").split(os.pathsep)
    folders = [Path(name) for name in named if name]
    if not folders:
        raise Missing("RAYTUNE_PLANES_STUDIES names no folders of studies that ran to their end in one go")
    rows, held = [], []
    for folder in folders:
        study = read_study(folder)
        began, took = _times(study)
        cells = []
        for share in SHARES:
            told, left = _told(study, began + share * took, _at_once(study.trials)), (1 - share) * took
            if told is None:
                cells += ["not yet", span(left, left)]
                continue
            held.append(told[0] <= left <= told[1])
            cells += [span(*told), span(left, left) + ("" if held[-1] else " (outside)")]
        rows.append((folder.name, str(len(study.trials)), span(took, took), *cells))
    header = ("study", "trials", "took", *(c for s in SHARES for c in (f"told at {s:.0%}", "truth")))
    aim = Aim("ranges that hold the truth", statistics.fmean(held), AIM, at_least=True)
    notes = (
        "Trials alone, by the times in their records; progress within an epoch is not recorded, so it is unknown.",
    )
    return Table("remaining", header, rows, {"held": held}, notes, [aim])


def _times(study: StudyFiles) -> tuple[float, float]:
    """When the first trial began, in seconds, and how long all trials took."""
    began = min(t.started_ms for t in study.trials) / 1000
    return began, max(t.ended_ms for t in study.trials) / 1000 - began


def _told(study: StudyFiles, now: float, at_once: int) -> tuple[float, float] | None:
    """What a view would tell at ``now``, in seconds of the records' clock."""
    passed = 0.0
    first = study.trials[0]
    outline = Outline(
        study.start.name, study.start.goal, {}, len(study.trials), epochs_in_all(first.config), at_once=at_once
    )
    board = Board(outline, lambda: passed)
    for passed, trial in sorted(_events(study.trials), key=lambda event: event[0]):
        if passed > now:
            break
        board.take(trial)
    passed = now
    return board.remaining()


def _events(trials: tuple[TrialRecord, ...]) -> Iterator[tuple[float, TrialRecord]]:
    """Every trial as it stood when it began, after each epoch, and at its end."""
    for trial in trials:
        yield trial.started_ms / 1000, replace(trial, end=End.RUNNING, epochs=())
        for epoch in trial.epochs:
            known = tuple(e for e in trial.epochs if e.epoch <= epoch.epoch)
            yield epoch.time_ms / 1000, replace(trial, end=End.RUNNING, epochs=known)
        yield trial.ended_ms / 1000, trial


def _at_once(trials: tuple[TrialRecord, ...]) -> int:
    """The most trials that ran at the same time."""
    return max(sum(o.started_ms <= t.started_ms < o.ended_ms for o in trials) for t in trials)
