"""The card of a model, in Markdown: what it learnt from, what it reached, what it costs, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from raytune_planes.fold_metrics import results
from raytune_planes.printing import counted, time_text
from raytune_planes.records import HIGHER_IS_BETTER, EpochRecord, Goal, TrialRecord
from raytune_planes.report import over_folds
from raytune_planes.report.formatting import shown, value_text
from raytune_planes.report.intervals import of_pictures
from raytune_planes.report.licences import licences
from raytune_planes.report.markdown import code, escaped, table
from raytune_planes.settings import defaults
from raytune_planes.tracking.base import DataDescription
from raytune_planes.tracking.costs import trained_for
from raytune_planes.tracking.gains import floor_in_words, is_quality, missed_in_words, sample_of, unapplied

FILE = "MODEL_CARD.md"
SYNTHETIC = (
    "**Some or all of its pictures are SYNTHETIC: they were drawn by this program. How well it finds real planes is "
    "unknown.**"
)
USES = (
    "It is meant for research: to compare configurations, and to classify, outline and count planes in pictures "
    "like those it learnt from. It answers for such pictures alone: of another sensor, resolution, season or view its "
    "quality is unknown. It has not been examined for uses that affect people, for safety or for military targets, "
    "and should not decide anything alone."
)
INTERVALS = (
    "Intervals: 95 %, of this one training over its pictures or scenes (Wilson); they say nothing of other seeds. "
    "The epoch was chosen by these validation figures, so they are optimistic."
)


@dataclass(frozen=True)
class Subject:
    """A model and its records."""

    name: str
    """Which it is, in Markdown."""
    trial: TrialRecord
    goal: Goal
    """Which chose its epoch."""
    data: Mapping[str, DataDescription]
    test: Mapping[str, float] = field(default_factory=dict)
    """Its metrics on the test split, where it was scored there once."""
    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def epoch(self) -> EpochRecord:
        found = self.trial.best(self.goal)
        assert found is not None, "a model has an epoch whose weights it holds"
        return found


def card(subject: Subject, beside: list[str] | None = None) -> str:
    """The whole text.

    Args:
        beside: Lines after the results: what the study knows of other trainings.
    """
    parts = [
        [f"# Model card: {subject.name}", "", *_first(subject)],
        ["## Use and limits", "", USES],
        ["## Data", "", *_data(subject)],
        ["## Results", "", *_results(subject), *(beside or [])],
        ["## Settings that differ from the defaults", "", *_settings(subject)],
        ["## Costs", "", *_costs(subject)],
        ["## Licences", "", *_licences(subject)],
        ["## Origin", "", *_origin(subject)],
    ]
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _first(subject: Subject) -> Iterator[str]:
    names = ", ".join(map(escaped, subject.data))
    yield f"One model that learnt {counted(len(subject.data), 'dataset')} together: {names}."
    if any(described.synthetic for described in subject.data.values()):
        yield from ("", SYNTHETIC)
    if subject.goal.floors:
        missed = missed_in_words(subject.goal, subject.epoch.metrics)
        yield from ("", f"**It misses a floor: {escaped(missed)}.**" if missed else "It keeps every floor.")
    if told := unapplied(subject.goal):
        yield from ("", *(f"- {escaped(line)}" for line in told))


def _data(subject: Subject) -> Iterator[str]:
    splits = [s for s in ("train", "val", "test") if any(s in d.counts for d in subject.data.values())]
    rows = [
        (
            escaped(name),
            *(f"{d.counts[s]:,}" if s in d.counts else "-" for s in splits),
            "**synthetic**" if d.synthetic else "real",
            code(d.fingerprint),
        )
        for name, d in subject.data.items()
    ]
    yield from table(("dataset", *splits, "pictures", "fingerprint"), rows, right=range(1, len(splits) + 1))
    config = subject.trial.config
    # ``folds`` and ``fold`` say something of folds alone.
    idle = () if config.get("split.kind") == "kfold" else ("split.folds", "split.fold")
    named = [k for k in config if k.startswith("split.") and k not in idle]
    of_split = [f"{code(k)} {escaped(value_text(config[k]))}" for k in named]
    yield ""
    yield (
        f"Splits: {', '.join(of_split) or 'not recorded'}. Pictures of a group (a scene, copies of one picture) are in "
        "the same split. Training saw `train`, and `val` chose the epoch and the configuration; the search never sees "
        "`test`."
    )


def _results(subject: Subject) -> Iterator[str]:
    goal, metrics = subject.goal, subject.epoch.metrics
    at = over_folds.place(subject.trial, subject.epoch.epoch)
    yield f"On the validation split, at {at}:"
    yield ""
    objectives = {o.metric for o in goal.objectives}
    keys = [k for k in metrics if k in objectives | set(goal.floors) or is_quality(k)]
    first = sorted(keys, key=lambda k: (k not in objectives, k not in goal.floors, k))
    rows = [
        (code(k), shown(metrics[k]), _interval(subject, k), _sample(k, metrics), *_roles(goal, k, metrics[k]))
        for k in first
    ]
    yield from table(("metric", "value", "95 %", "n", "role", "floor held"), rows, right=(1, 2, 3))
    yield ""
    yield over_folds.NOTE if results(subject.trial) else INTERVALS
    if tested := [k for k in subject.test if is_quality(k, "test")]:
        scored = [
            (code(k), shown(subject.test[k]), _over_pictures(subject.test, k), _sample(k, subject.test))
            for k in sorted(tested)
        ]
        yield from ("", "On the test split, scored once:", "")
        yield from table(("metric", "value", "95 %", "n"), scored, right=(1, 2, 3))


def _interval(subject: Subject, key: str) -> str:
    if results(subject.trial):
        rows = {row[0]: row[2] for row in over_folds.rows(subject.trial, subject.goal)}
        return rows.get(key, "-")
    return _over_pictures(subject.epoch.metrics, key)


def _over_pictures(metrics: Mapping[str, float], key: str) -> str:
    sample = sample_of(key, metrics) if key.rsplit("/", 1)[-1] in HIGHER_IS_BETTER else None
    ends = of_pictures(metrics[key], sample.count) if sample else None
    return f"{shown(ends[0])} to {shown(ends[1])}" if ends else "-"


def _sample(key: str, metrics: Mapping[str, float]) -> str:
    return str(sample_of(key, metrics) or "-")


def _roles(goal: Goal, key: str, value: float) -> tuple[str, str]:
    role = "objective" if key in {o.metric for o in goal.objectives} else ""
    if key not in goal.floors:
        return role, ""
    return role, f"{'yes' if value >= goal.floors[key] else '**no**'}: {escaped(floor_in_words(goal, key))}"


def _settings(subject: Subject) -> Iterator[str]:
    usual, trial = defaults(), subject.trial
    rows = [
        (code(path), _setting(usual.get(path, "-")), _setting(value), "the search" if path in trial.drawn else "set")
        for path, value in sorted(trial.config.items())
        if path not in usual or usual[path] != value
    ]
    yield from table(("setting", "default", "here", "by"), rows) if rows else ["None."]


def _setting(value: Any) -> str:
    return escaped(value_text(value))


def _costs(subject: Subject) -> Iterator[str]:
    trial = subject.trial
    took, where = time_text(trained_for(trial)), trial.tags.get("pool", "")
    yield (
        f"Its training: {counted(len(trial.epochs), 'epoch')}, {counted(trial.trained, 'training picture')}, {took}"
        f"{f' on {escaped(where)}' if where else ''}; the weights are those after "
        f"{over_folds.place(trial, subject.epoch.epoch)}."
    )


def _licences(subject: Subject) -> Iterator[str]:
    drawn = {name: described.synthetic for name, described in subject.data.items()}
    yield from table(("what", "licence"), [tuple(map(escaped, row)) for row in licences(subject.trial.config, drawn)])
    yield ""
    yield "As their owners state it. Whether the weights may be used or passed on follows from the data as well."


def _origin(subject: Subject) -> Iterator[str]:
    yield f"Training {code(subject.trial.trial_id)}, commit {code(subject.commit) if subject.commit else 'unknown'}."
    if subject.versions:
        yield ""
        yield f"Versions: {', '.join(f'{escaped(k)} {escaped(v)}' for k, v in subject.versions.items())}."
