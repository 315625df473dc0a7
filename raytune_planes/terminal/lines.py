"""What programs read of a study or a training: one JSON object a line for each event, under keys that stay."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from raytune_planes.records import Decision, EpochRecord, Goal, TrialRecord
from raytune_planes.terminal.alone import Alone
from raytune_planes.terminal.board import Outline
from raytune_planes.tracking.base import DataDescription

EPOCH = ("epoch", "samples", "seconds", "metrics", "resting", "decisions", "stage", "fold")
EVENTS: Mapping[str, tuple[str, ...]] = {
    "data": ("dataset", "synthetic", "counts", "fingerprint"),
    "study": ("study", "folder", "trials", "objectives", "floors", "about"),
    "trial": ("trial", "trial_id", "drawn"),
    "epoch": ("trial", *EPOCH),
    "floors": ("floors",),
    "alone": ("dataset", "folder", "epochs"),
    "alone_end": ("dataset", "text", "metrics"),
    "trial_end": ("trial", "trial_id", "end", "reason", "epoch", "score", "metrics"),
    "note": ("text",),
    "report": ("page",),
    "training": ("folder", "epochs", "fold"),
    "result": ("result",),
    "end": ("status", "folder"),
    "error": ("status", "message"),
}
"""Event -> its keys, which every line of that event has; a value that is not known, or no number, is null."""


class JsonLines:
    """Writes events to a stream; to None, nowhere."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def tell(self, event: str, **values: Any) -> None:
        """One line: ``event`` and the values of its keys in ``EVENTS``."""
        assert sorted(values) == sorted(EVENTS[event]), f"{event} has the keys {', '.join(EVENTS[event])}"
        if self._stream is not None:
            line = json.dumps({"event": event, **_strict(values)}, allow_nan=False, default=str)
            print(line, file=self._stream, flush=True)

    def data(self, dataset: str, described: DataDescription) -> None:
        counts, synthetic = dict(described.counts), described.synthetic
        self.tell("data", dataset=dataset, synthetic=synthetic, counts=counts, fingerprint=described.fingerprint)

    def epoch(self, epoch: EpochRecord, trial: int | None = None) -> None:
        own = {key: getattr(epoch, key) for key in EPOCH if key != "decisions"}
        self.tell("epoch", trial=trial, **own, decisions=_decisions(epoch.decisions))


NOWHERE = JsonLines(None)


class JsonLinesView:
    """A study as events; what is drawn anew for people between them is left out."""

    def __init__(self, lines: JsonLines) -> None:
        self._lines = lines
        self._goal = Goal(())

    def start(self, outline: Outline) -> None:
        self._goal = goal = outline.goal
        self._lines.tell(
            "study",
            study=outline.name,
            folder=outline.folder and str(outline.folder),
            trials=outline.trials,
            objectives=[{"metric": o.metric, "mode": o.mode} for o in goal.objectives],
            floors=dict(goal.floors),
            about=outline.about,
        )

    def trial_started(self, trial: TrialRecord) -> None:
        self._lines.tell("trial", trial=trial.number, trial_id=trial.trial_id, drawn=dict(trial.drawn))

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        self._lines.epoch(epoch, trial.number)

    def trial_ended(self, trial: TrialRecord) -> None:
        best = trial.best(self._goal)
        self._lines.tell(
            "trial_end",
            trial=trial.number,
            trial_id=trial.trial_id,
            end=str(trial.end),
            reason=trial.reason,
            epoch=best and best.epoch,
            score=best and self._goal.value(best.metrics),
            metrics=dict(best.metrics) if best else None,
        )

    def alone_began(self, alone: Alone) -> None:
        self._lines.tell("alone", dataset=alone.dataset, folder=str(alone.folder), epochs=alone.epochs)

    def alone_ended(self, dataset: str, text: str, metrics: Mapping[str, float] | None) -> None:
        self._lines.tell("alone_end", dataset=dataset, text=text, metrics=metrics)

    def goal(self, goal: Goal) -> None:
        self._goal = goal
        self._lines.tell("floors", floors=dict(goal.floors))

    def tick(self) -> None:
        """Nothing: a line is written when something has happened."""

    def note(self, text: str) -> None:
        self._lines.tell("note", text=text)

    def stop(self) -> None:
        """Nothing: every line is flushed."""

    def lost(self, text: str, status: int) -> None:
        self._lines.tell("error", status=status, message=text)


def _decisions(decisions: Sequence[Decision]) -> list[dict[str, str]]:
    return [{"dataset": d.dataset, "action": str(d.action), "reason": d.reason} for d in decisions]


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
