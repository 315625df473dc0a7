"""What ``best`` prints: which trial is best, what it changed, what it gained, and how to continue."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raytune_planes.addresses import without_secrets
from raytune_planes.errors import UserError
from raytune_planes.invocation import command, in_folder, near
from raytune_planes.pareto import Choice, choose
from raytune_planes.printing import counted
from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.report import explain, gained, over_folds
from raytune_planes.report.final import final_lines
from raytune_planes.report.formatting import shown, table, value_text
from raytune_planes.report.learnt import learnt_lines
from raytune_planes.settings import defaults
from raytune_planes.space.effects import is_of_stopping
from raytune_planes.tracking.gains import (
    Gain,
    best_of,
    defaults_trial,
    gains,
    goal_in_words,
    missed_in_words,
    unapplied,
)
from raytune_planes.tracking.notes import read_notes
from raytune_planes.tracking.reading import StudyFiles


@dataclass(frozen=True)
class Change:
    """A setting of the best trial that differs from the defaults' trial; where that failed, from the package's."""

    path: str
    before: Any
    after: Any
    drawn: bool
    """By the search; else set by the space or by the person who asked."""
    idle: bool = False
    """A setting of early stopping in a study in which neither trial put a dataset to rest: it gained nothing."""

    @property
    def note(self) -> str:
        """What a reader should know of it, for tables."""
        return "made no decision" if self.idle else "" if self.drawn else "set"


@dataclass(frozen=True)
class Summary:
    """The answer of a study, as values."""

    study: StudyFiles
    best: TrialRecord
    epoch: EpochRecord
    """Of the best trial: the one whose metrics are its result."""
    gains: tuple[Gain, ...]
    changes: tuple[Change, ...]
    choice: Choice
    """Why it is best, by how much it misses floors, and the front it was taken from."""

    @property
    def feasible(self) -> bool:
        return self.choice.feasible

    @property
    def shortfalls(self) -> Mapping[str, float]:
        """By how much the best trial misses each floor it misses; empty when it keeps all."""
        return self.choice.shortfalls


def summarise(study: StudyFiles, prefer: str | None = None) -> Summary | None:
    """The answer of ``study``, or None while no trial is complete.

    Raises:
        UserError: no trial has the metric ``prefer``.
    """
    choice = choose(study.trials, study.start.goal, prefer)
    epoch = choice.trial.best(study.start.goal) if choice else None
    if choice is None or epoch is None:
        return None
    best, first = choice.trial, defaults_trial(study)
    baseline = dict(first.config) if first else defaults()
    is_idle = not best.decisions and not (first and first.decisions)
    changes = [
        Change(path, baseline.get(path), value, path in best.drawn, is_idle and is_of_stopping(path))
        for path, value in sorted(best.config.items())
        if path not in baseline or baseline[path] != value
    ]
    ordered = tuple(sorted(changes, key=lambda c: not c.drawn))
    return Summary(study, best, epoch, gains(study, best), ordered, choice)


def as_text(study: StudyFiles, *, tracking_uri: str = "", experiment: str = "", prefer: str | None = None) -> str:
    """The whole answer for a terminal; ``tracking_uri`` and ``experiment`` as typed, where ``ui`` needs them too."""
    summary = summarise(study, prefer)
    head = [f"study {study.start.name}: {_ends(study)}", *_question(study), *_notes(study)]
    if summary is None:
        return "\n".join([*head, "", *_no_best(study), "", *_where(study, None, tracking_uri, experiment)])
    parts = [
        _verdict(summary),
        gained.as_lines(study, summary.best, summary.epoch, summary.gains),
        over_folds.as_lines(summary.best, study.start.goal),
        final_lines(study),
        learnt_lines(study),
        explain.confirmed_text(study, summary.best),
        _changed(summary),
        explain.rested_text(summary.best),
        explain.front_text(summary.choice, summary.study.start.goal),
        _where(study, summary, tracking_uri, experiment),
    ]
    return "\n".join([*head, *(line for part in parts if part for line in ["", *part])])


def _ends(study: StudyFiles) -> str:
    counts = ", ".join(f"{count} {end}" for end, count in end_counts(study).items())
    state = "" if study.end else "; it has not ended"
    number = len(study.trials)
    return f"{counted(number, 'trial')} ({counts}){state}" if number else f"no trials{state}"


def end_counts(study: StudyFiles) -> dict[End, int]:
    """How many trials ended in each way; ways in which none ended are left out."""
    return {end: n for end in End if (n := sum(t.end is end for t in study.trials))}


def _question(study: StudyFiles) -> list[str]:
    synthetic = [name for name, described in study.start.data.items() if described.synthetic]
    lines = [f"goal: {goal_in_words(study.start.goal)}"]
    if synthetic:
        lines.append(f"data: synthetic ({', '.join(synthetic)}); the figures say how the search works, not more")
    return lines


def _notes(study: StudyFiles) -> list[str]:
    try:
        return read_notes(study.folder).as_lines()
    except UserError as error:  # the answer does not depend on it
        return [f"warning: {error}"]


def _verdict(summary: Summary) -> list[str]:
    goal, best = summary.study.start.goal, summary.best
    score = f"score {shown(goal.value(summary.epoch.metrics))}"
    place = over_folds.place(best, summary.epoch.epoch)
    of = "" if over_folds.results(best) else f" of {best.epochs[-1].epoch}"
    at = f"at {place}{of} ({best.end}: {best.reason or 'no reason given'})"
    if summary.feasible:
        every = "every other floor" if goal.unknown else "every floor"
        kept = f" that keeps {every}" if goal.floors else ""
        floors = f"; {every} is kept" if goal.floors else ""
        # Defaults that are asked for by one metric need not be the best.
        beaten = "" if best != best_of(summary.study) else f": no complete trial{kept} beat them"
        name = f"trial {best.number}" if best.number else f"the defaults{beaten}"
        return [f"best: {name}, {score} {at}{floors}", f"chosen for: {summary.choice.reason}", *unapplied(goal)]
    missed = missed_in_words(goal, summary.epoch.metrics)
    return [
        "no complete trial keeps every floor",
        f"nearest: trial {best.number}, {score} {at}: {missed}",
        "lower the floor, widen the space or run more trials",
        *unapplied(goal),
    ]


def _changed(summary: Summary) -> list[str]:
    if not summary.changes:
        return ["no setting differs from the defaults' trial"]
    rows = [(c.path, value_text(c.before), value_text(c.after), c.note) for c in summary.changes]
    return [*table(("setting", "default", "best", ""), rows, right=(1, 2))]


def _no_best(study: StudyFiles) -> list[str]:
    failed = [t for t in study.trials if t.end is End.FAILED]
    lines = ["no trial is complete, so there is no best one"]
    lines += [f"  trial {t.number} failed: {t.reason}" for t in failed[:5]]
    return lines + ([f"  and {len(failed) - 5} more failed"] if len(failed) > 5 else [])


def _where(study: StudyFiles, summary: Summary | None, tracking_uri: str, experiment: str) -> list[str]:
    out = study.folder.parent
    rows = [("results", str(near(study.folder)))]
    if summary is not None:
        rows += explain.commands(study, summary.best)
    rows.append(("see it in figures", command(f"report {study.start.name}{in_folder(out)}")))
    elsewhere = f" --tracking-uri {without_secrets(tracking_uri)}" if tracking_uri else in_folder(out)
    named = f" --experiment {shlex.quote(experiment)}" if experiment else ""
    rows.append(("look at it in MLflow", command(f"ui{elsewhere}{named}")))
    lines = [f"{name + ':':22}{value}" for name, value in rows]
    return [*lines, *(f"warning: {text}" for text in study.warnings)]
