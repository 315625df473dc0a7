"""What a run of MLflow says of a study or a trial: names, tags, parameters, metrics and notes; no call to MLflow."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from raytune_planes.printing import printable
from raytune_planes.records import HIGHER_IS_BETTER, End, EpochRecord, Goal, TrialRecord, split_metric
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.data_curve import IN_WORDS
from raytune_planes.tracking.data_curve import MARK as SHARE
from raytune_planes.tracking.final import MARK
from raytune_planes.tracking.gains import goal_in_words
from raytune_planes.tracking.mlflow_charts import NUMBER
from raytune_planes.tracking.reading import StudyFiles

BEST_FIRST = ("metrics.score DESC", "tags.rank ASC", "attributes.run_name ASC")
"""``order_by`` of ``search_runs`` that puts a study's best trial first, also of several with one score.

Only complete trials that keep every floor have a ``score``, so the UI's column sorts the same way; every trial that has
a result has a ``penalised_score``."""

STATUS = {
    End.COMPLETED: "FINISHED",
    End.CONVERGED: "FINISHED",
    End.PRUNED: "FINISHED",
    End.INTERRUPTED: "KILLED",
    End.FAILED: "FAILED",
    End.RUNNING: "RUNNING",
    End.PAUSED: "SCHEDULED",
}
"""MLflow knows fewer ends than we do: the tag ``end`` tells pruned from completed. The UI shows KILLED as a red cross,
and a pruned trial is no fault."""

KINDS = ("trial", "final", "data-curve")
"""Values of the tag ``kind`` of runs with records as trials have: of the search, at the long budget, on less data."""
NOTE = "mlflow.note.content"
"""Tag that the UI shows as a description, in Markdown."""
DECIMALS = 4
LONGEST = 5000
"""Characters of a tag; older servers refuse more."""

LONGEST_PARAM = 500
"""Characters of a parameter that every server of MLflow takes: 6000 since 2.10, 500 before."""

CUT = "... (whole in config.yaml"
"""Ends a parameter that is longer."""

Point = tuple[str, float, int, int]
"""Metric, value, time in milliseconds, step."""


def study_tags(start: StudyStart) -> dict[str, str]:
    """Tags that the study's run and all its trials' runs share: what to filter by."""
    tags = {
        "study": start.name,
        "study_id": start.study_id,
        "space": start.space,
        "space_digest": start.space_digest,
        "synthetic": str(start.synthetic).lower(),
        **{f"data.{name}": described.fingerprint for name, described in start.data.items()},
        "mlflow.source.name": "raytune-planes tune",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": start.commit,
    }
    return {key: value[:LONGEST] for key, value in tags.items() if value}


def parent_tags(start: StudyStart) -> dict[str, str]:
    versions = {f"version.{name}": version for name, version in start.versions.items()}
    goal = goal_in_words(start.goal)
    sources = ", ".join(f"{s.study} ({s.weight:.2f})" for s in start.learnt.sources)
    learnt = {"learnt_from": f"{'packaged: ' if start.learnt.packaged else ''}{sources}"[:LONGEST]}
    own = {"kind": "study", "goal": goal[:LONGEST], "seed": str(start.seed), **(learnt if start.learnt.sources else {})}
    return {**study_tags(start), **own, **versions}


def trial_tags(start: StudyStart, trial: TrialRecord) -> dict[str, str]:
    own = {"kind": _kind(trial), "trial": str(trial.number), "trial_id": trial.trial_id}
    learnt = start.learnt
    if trial.number in learnt.numbers and _kind(trial) == "trial":
        lesson = learnt.portfolio[trial.number - learnt.first]
        own |= {"learnt_from": f"trial {lesson.trial} of {'packaged ' if learnt.packaged else ''}{lesson.study}"}
    return {**study_tags(start), **own}


def end_tags(trial: TrialRecord) -> dict[str, str]:
    """How the trial stands and where it runs; written again whenever that changes."""
    resting = trial.epochs[-1].resting if trial.epochs else ()
    reason = printable(trial.reason, lines=True)[:LONGEST]
    tags = {"end": str(trial.end), "reason": reason, "mlflow.note.content": trial_note(trial)}
    tags |= {key: value[:LONGEST] for key, value in trial.tags.items()}
    return tags | ({"resting": ", ".join(resting)} if resting else {})


def trial_name(trial: TrialRecord) -> str:
    names = {
        "trial": f"trial {trial.number:03d}",
        "final": f"final {trial.number:03d}, {trial.tags.get(MARK)} epochs",
        "data-curve": f"data curve {trial.number:03d}, {_share(trial)} of the pictures",
    }
    return names[_kind(trial)] + (" (defaults)" if trial.number == 0 else "")


def _kind(trial: TrialRecord) -> str:
    """One of ``KINDS``."""
    return "data-curve" if SHARE in trial.tags else "final" if MARK in trial.tags else "trial"


def _share(trial: TrialRecord) -> str:
    share = trial.tags.get(SHARE, "")
    return IN_WORDS.get(float(share), share) if share else ""


def params(start: StudyStart, trial: TrialRecord) -> dict[str, str]:
    """The drawn settings, by ``short_names``; of the defaults' trial, which draws none, those that the others draw.

    The artifact ``config.yaml`` holds every setting by its path, with all digits.
    """
    values = trial.drawn or {path: trial.config[path] for path in start.searched if path in trial.config}
    names = short_names([*start.searched, *values])
    whole = {names[path]: value_text(value) for path, value in values.items()}
    return {path: value if len(value) <= LONGEST_PARAM else _shortened(value) for path, value in whole.items()}


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Path -> name for columns, in the given order.

    A narrow column cuts names at their end, so they come without their section where three parts or more are left
    unambiguous, as ``fgvc.head.depth``.
    """
    short = {path: path.partition(".")[2] if path.count(".") >= 2 else path for path in paths}
    taken = Counter(short.values())
    return {path: name if taken[name] == 1 else path for path, name in short.items()}


def value_text(value: Any) -> str:
    """Four digits of a fraction, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def shortened(start: StudyStart, trial: TrialRecord) -> tuple[str, ...]:
    """The settings whose values ``params`` cuts; the trial's artifact ``config.yaml`` holds them whole."""
    return tuple(path for path, value in params(start, trial).items() if CUT in value and len(value) == LONGEST_PARAM)


def _shortened(value: str) -> str:
    """The beginning of ``value`` and a digest of all of it, so that two that differ late still differ."""
    end = f"{CUT}, sha256 {hashlib.sha256(value.encode()).hexdigest()[:12]})"
    return value[: LONGEST_PARAM - len(end)] + end


def epoch_points(epoch: EpochRecord, first: Sequence[str] = ()) -> list[Point]:
    """An epoch's metrics at step = epoch. ``samples`` comes last: where it is, all of the epoch is.

    The UI lists metrics in the order in which they arrived: those of ``first``, in its order, other validation metrics,
    the rest.
    """
    resting = {f"resting/{name}": 1.0 for name in epoch.resting}
    rank = {key: place for place, key in enumerate(dict.fromkeys(first))}
    order = sorted(epoch.metrics, key=lambda key: (rank.get(key, len(rank)), not key.startswith("val/")))
    values = {
        **{key: epoch.metrics[key] for key in order},
        **resting,
        "seconds": epoch.seconds,
        "samples": float(epoch.samples),
    }
    return [(key, float(value), epoch.time_ms, epoch.epoch) for key, value in values.items()]


def result_points(trial: TrialRecord, goal: Goal) -> list[Point]:
    """A trial's result at its best epoch: scores, and validation metrics as ``best/fgvc/accuracy``.

    At step 0, because the UI draws bars, one per trial, of metrics that have no other step. With four decimals, as its
    narrow columns show whole numbers; ``val/...`` has all digits.
    """
    epoch = trial.best(goal)
    if epoch is None or trial.end.is_open:
        return []
    values = best_values(epoch)
    feasible, score = goal.feasible(epoch.metrics), goal.score(epoch.metrics)
    values |= {NUMBER: float(trial.number), "feasible": float(feasible), "best_epoch": float(epoch.epoch)}
    if math.isfinite(score) and _kind(trial) == "data-curve":  # of less data: not to be sorted among the trials
        values |= {"data_curve_value": goal.value(epoch.metrics)}
    elif math.isfinite(score) and _kind(trial) == "final":  # nor one of another budget
        values |= {"final_score": score}
    elif math.isfinite(score):
        values |= {"penalised_score": score} | ({"score": score} if feasible and trial.end.is_complete else {})
    return [(key, round(value, DECIMALS), trial.ended_ms, 0) for key, value in values.items()]


def best_values(epoch: EpochRecord) -> dict[str, float]:
    """Validation metrics that are better when larger, as ``best/fgvc/accuracy``."""
    values = {}
    for key, value in epoch.metrics.items():
        parts = split_metric(key)
        if parts and parts[0] == "val" and parts[2] in HIGHER_IS_BETTER:
            values[f"best/{parts[1]}/{parts[2]}"] = value
    return values


def study_points(study: StudyFiles) -> list[Point]:
    """``best_score`` after each complete trial, in the order in which they ended."""
    goal, best = study.start.goal, -math.inf
    points: list[Point] = []
    for trial in sorted(study.trials, key=lambda t: (t.ended_ms, t.number)):
        scored = [value for key, value, _, _ in result_points(trial, goal) if key == "score"]
        best = max(best, *scored, -math.inf)
        if scored:
            points.append(("best_score", best, trial.ended_ms, len(points) + 1))
    return points


def trial_note(trial: TrialRecord) -> str:
    decisions = trial.decisions
    lines = [f"- epoch {d.epoch}: {d.dataset} {d.action}s: {d.reason}" for d in decisions]
    head = f"**{trial.end}**" + (f": {trial.reason}" if trial.reason else "")
    return cut("\n".join([head, *([""] if lines else []), *lines]))


def digest(*parts: Any) -> str:
    """A short hash of records; equal records have equal text."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def cut(text: str) -> str:
    """``text`` as a tag takes it."""
    text = printable(text, lines=True)
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + "\n..."
