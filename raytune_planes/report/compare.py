"""Two trials side by side: the settings that differ, their metrics, and their curves on one axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.fold_metrics import course
from raytune_planes.pareto import choose
from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.report.figure import Figure, Missing, Report, Section, Table
from raytune_planes.report.formatting import shown, signed, table, value_text
from raytune_planes.report.search import primary_metrics
from raytune_planes.tracking.gains import is_quality
from raytune_planes.tracking.reading import StudyFiles

LEGEND = "Solid: {}. Dashed: {}. The ring marks the epoch whose weights each keeps."


@dataclass(frozen=True)
class Side:
    """One of the two."""

    label: str
    study: StudyFiles
    trial: TrialRecord

    @property
    def result(self) -> EpochRecord | None:
        """The epoch whose metrics are the trial's result, under its own study's goal."""
        return self.trial.best(self.study.start.goal)


@dataclass(frozen=True)
class Comparison:
    """Curves of two trials, one panel a metric."""

    labels: tuple[str, str]
    curves: Mapping[str, tuple[tuple[tuple[int, float], ...], tuple[tuple[int, float], ...]]]
    """Metric -> for either trial (training images seen, value) of every epoch."""
    best: tuple[int | None, int | None]
    """Training images seen at the epoch that each keeps."""


def side(study: StudyFiles, number: int | None) -> Side:
    """Trial ``number`` of ``study``, or its best one.

    Raises:
        UserError: there is no such trial, or none is complete.
    """
    name = study.start.name
    if number is not None:
        trial = next((t for t in study.trials if t.number == number), None)
        if trial is None:
            there = ", ".join(str(t.number) for t in study.trials) or "none yet"
            raise UserError(f"study '{name}' has no trial {number}; there are: {there}")
        return Side(f"{name}:{number}", study, trial)
    choice = choose(study.trials, study.start.goal)
    if choice is None:
        raise UserError(f"no trial of study '{name}' is complete; name one of its trials: {name}:0")
    return Side(f"{name}:{choice.trial.number}", study, choice.trial)


def settings(one: Side, other: Side) -> list[tuple[str, Any, Any]]:
    """(path, value of one, value of the other) of every setting in which they differ, by path."""
    a, b = one.trial.config, other.trial.config
    return [(p, a.get(p), b.get(p)) for p in sorted({*a, *b}) if a.get(p) != b.get(p) or (p in a) != (p in b)]


def metrics(one: Side, other: Side) -> list[tuple[str, float, float]]:
    """Validation metrics that grow with quality, and those of either goal, at each one's best epoch."""
    named = {o.metric for s in (one, other) for o in s.study.start.goal.objectives}
    a, b = (dict(s.result.metrics) if s.result else {} for s in (one, other))
    nan = float("nan")
    return [(k, a.get(k, nan), b.get(k, nan)) for k in sorted({*a, *b}) if k in named or is_quality(k)]


def curves(one: Side, other: Side) -> Comparison | Missing:
    """The metric that each dataset is judged by, against the training images seen: epochs may differ in length."""
    keys = list(dict.fromkeys([*primary_metrics(one.study).values(), *primary_metrics(other.study).values()]))
    pairs = {k: (_curve(one.trial, k), _curve(other.trial, k)) for k in keys}
    pairs = {k: pair for k, pair in pairs.items() if any(pair)}
    if not pairs:
        return Missing("neither trial has finished an epoch")
    best = _kept(one), _kept(other)
    return Comparison((one.label, other.label), pairs, best)


def figure(one: Side, other: Side, name: str = "beside") -> Figure:
    title = f"{one.label} beside {other.label}"
    title = title[:1].upper() + title[1:] if one.study is other.study else title
    return Figure(name, title, LEGEND.format(one.label, other.label), curves(one, other))


def as_text(one: Side, other: Side) -> str:
    """For a terminal."""
    differ, measured = settings(one, other), metrics(one, other)
    head = ("", one.label, other.label, "difference")
    rows = [(k, shown(a), shown(b), signed(b - a)) for k, a, b in measured]
    parts = [
        [f"{s.label}: {s.trial.end}{f', {s.trial.reason}' if s.trial.reason else ''}" for s in (one, other)],
        _warnings(one, other),
        table(head, rows, right=(1, 2, 3)) if rows else ["neither has finished an epoch"],
        table(("setting", one.label, other.label), [_texts(d) for d in differ], right=(1, 2))
        if differ
        else ["no setting differs"],
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def as_report(one: Side, other: Side) -> Report:
    """The same as a page, with curves."""
    measured = tuple((k, shown(a), shown(b), signed(b - a)) for k, a, b in metrics(one, other))
    differ = tuple(_texts(d) for d in settings(one, other))
    ends = [f"{s.label}: {s.trial.end}, {s.trial.reason or 'no reason given'}." for s in (one, other)]
    return Report(
        f"{one.label} beside {other.label}",
        " ".join(ends),
        (
            Section(
                "Results",
                _warnings(one, other),
                [Table(("metric", one.label, other.label, "difference"), measured)] if measured else [],
                [figure(one, other)],
            ),
            Section(
                "Settings that differ",
                [] if differ else ["None."],
                [Table(("setting", one.label, other.label), differ)] if differ else [],
            ),
        ),
        synthetic=one.study.start.synthetic or other.study.start.synthetic,
    )


def _warnings(one: Side, other: Side) -> list[str]:
    """Why two figures may not be comparable."""
    a, b = one.study.start.data, other.study.start.data
    changed = [d for d in sorted({*a, *b}) if d in a and d in b and a[d].fingerprint != b[d].fingerprint]
    alone = sorted(set(a) ^ set(b))
    warnings = (
        [f"The files of {', '.join(changed)} differ between the two: their metrics do not compare."] if changed else []
    )
    return warnings + ([f"Only one of the two studies has {', '.join(alone)}."] if alone else [])


def _texts(differs: tuple[str, Any, Any]) -> tuple[str, str, str]:
    path, a, b = differs
    return path, value_text(a), value_text(b)


def _kept(side: Side) -> int | None:
    """Samples at the epoch whose weights are kept."""
    epoch = replace(side.trial, epochs=course(side.trial)).best(side.study.start.goal)
    return epoch.samples if epoch else None


def _curve(trial: TrialRecord, key: str) -> tuple[tuple[int, float], ...]:
    return tuple((e.samples, e.metrics[key]) for e in course(trial) if key in e.metrics)
