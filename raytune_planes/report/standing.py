"""Whether a study's model may take the place of the registry's champion: no dataset may lose beyond its interval."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raytune_planes.catalog import primary_metric
from raytune_planes.records import HIGHER_IS_BETTER, Goal, TrialRecord, metric, split_metric
from raytune_planes.report.confirmed import Confirmed, Interval, interval
from raytune_planes.report.formatting import shown, table
from raytune_planes.report.intervals import of_pictures
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.gains import Sample, sample_of

VALIDATION, TEST = "val", "test"
RESULTS, BEFORE = "trial_results", "results"
"""The tag of a version in the registry that holds its ``Standing``: the last of its tags as the UI sorts them, since it
is for programs; and what it was called before."""


@dataclass(frozen=True)
class Standing:
    """What a model reached, and on which pictures: all that a later model is compared with."""

    data: Mapping[str, str]
    """By dataset, the fingerprint of its files."""
    split: Mapping[str, Any]
    """The settings that decide which pictures are for validation."""
    synthetic: bool
    results: Mapping[str, Mapping[str, Interval]]
    """By split, ``val`` and after a final check ``test``: ``<dataset>/<metric>`` with its 95 % interval."""

    def to_tag(self) -> str:
        """For ``from_tag``. Intervals are computed anew there."""
        kept = {split: {key: _stored(each) for key, each in of.items()} for split, of in self.results.items()}
        return json.dumps({"data": self.data, "split": self.split, "synthetic": self.synthetic, "results": kept})

    def in_words(self) -> str:
        """For the description of a version: ``Validation: fgvc/accuracy 0.5650, hrplanes/iou 0.6820.``"""
        names = {VALIDATION: "Validation", TEST: "Test"}
        told = (
            f"{names[split]}: {', '.join(f'{key} {shown(each.mean)}' for key, each in of.items())}."
            for split, of in self.results.items()
            if of
        )
        return " ".join(told)

    @staticmethod
    def of_tags(tags: Mapping[str, str]) -> Standing | None:
        """As ``from_tag``, of a version's tags."""
        return Standing.from_tag(tags.get(RESULTS) or tags.get(BEFORE, ""))

    @staticmethod
    def from_tag(text: str) -> Standing | None:
        """None where the tag is missing, or says something else."""
        try:
            stored = json.loads(text)
            results = {
                str(split): {str(key): _read(*each) for key, each in of.items()}
                for split, of in stored["results"].items()
            }
            data = {str(name): str(fingerprint) for name, fingerprint in stored["data"].items()}
            return Standing(data, dict(stored["split"]), bool(stored["synthetic"]), results)
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class Row:
    """One metric of both models."""

    metric: str
    mine: float
    champion: Interval

    @property
    def is_worse(self) -> bool:
        """By more than the champion's interval; where no interval can be given, by anything. To a champion without a
        number there, as where its training diverged, nothing is worse."""
        if not math.isfinite(self.champion.mean):
            return False
        least = self.champion.mean if self.champion.low is None else self.champion.low
        return not self.mine >= least


@dataclass(frozen=True)
class Judgement:
    """Whether the model takes the place of the champion, and why."""

    promoted: bool
    reason: str
    split: str = VALIDATION
    rows: tuple[Row, ...] = field(default=())

    def as_lines(self) -> list[str]:
        """The numbers that were compared, for a terminal."""
        cells = [(r.metric, shown(r.mine), shown(r.champion.mean), _ends(r.champion), str(r.champion.sample or "-"),
                  "worse" if r.is_worse else "") for r in self.rows]  # fmt: skip
        head = (f"on the {'test' if self.split == TEST else 'validation'} split", "this", "champion", "95 %", "n", "")
        return table(head, cells, right=(1, 2, 3, 4)) if cells else []


def standing(
    start: StudyStart, trial: TrialRecord, goal: Goal, confirmed: Mapping[int, Confirmed] | None = None
) -> Standing:
    """Of the model of ``trial``: the metric that each dataset is judged by, and those of ``goal``.

    Args:
        confirmed: What the study's final check found.
    """
    epoch = trial.best(goal)
    measured = dict(epoch.metrics) if epoch else {}
    keys = [metric(VALIDATION, d, primary_metric(d, trial.config.get(f"datasets.{d}.reader", ""))) for d in start.data]
    keys += [*(o.metric for o in goal.objectives), *goal.floors]
    named = [parts[1:] for key in keys if (parts := split_metric(key)) and parts[2] in HIGHER_IS_BETTER]
    results = {VALIDATION: {
        f"{dataset}/{name}": _interval([measured[key]], sample_of(key, measured))
        for dataset, name in dict.fromkeys(named) if (key := metric(VALIDATION, dataset, name)) in measured
    }}  # fmt: skip
    again = confirmed[trial.number].metrics if confirmed and trial.number in confirmed else {}
    seeds = {key: again[f"{TEST}/{key}"] for key in results[VALIDATION] if f"{TEST}/{key}" in again}
    if seeds and all(i.low is not None for i in seeds.values()):
        results[TEST] = seeds
    split = {path: value for path, value in trial.config.items() if path.startswith("split.")}
    return Standing({d: v.fingerprint for d, v in start.data.items()}, split, start.synthetic, results)


def judge(mine: Standing, champion: Standing | None, goal: Goal) -> Judgement:
    """Compare a model with the champion, whose standing is None where the registry does not state it.

    It takes the place when no dataset is worse than the champion's by more than the interval and its score, the mean of
    the objectives of ``goal``, is not lower. What cannot be compared does not.
    """
    if champion is None:
        return Judgement(False, "what the champion reached is not recorded, so the two cannot be compared")
    if champion.synthetic and not mine.synthetic:
        return Judgement(True, "the champion before it is a model of synthetic pictures")
    if why := _incomparable(mine, champion):
        return Judgement(False, f"{why}, so the two cannot be compared")
    split = TEST if all(TEST in each.results for each in (mine, champion)) else VALIDATION
    found, best = mine.results[split], champion.results[split]
    rows = tuple(Row(key, found[key].mean, best[key]) for key in sorted(best))
    if worse := [r.metric for r in rows if r.is_worse]:
        verb = "is" if len(worse) == 1 else "are"
        return Judgement(False, f"{', '.join(worse)} {verb} worse by more than the interval", split, rows)
    of_goal = [r for r in rows if r.metric in {o.metric.removeprefix(f"{VALIDATION}/") for o in goal.objectives}]
    scored = of_goal if len(of_goal) == len(goal.objectives) else list(rows)
    now, before = (statistics.fmean(v) for v in ([r.mine for r in scored], [r.champion.mean for r in scored]))
    gained = ", ".join(r.metric for r in rows if math.isfinite(r.mine) and not math.isfinite(r.champion.mean))
    if not math.isfinite(before) and math.isfinite(now):
        why = f"no dataset is worse by more than the interval, and {gained} of the champion is no number"
        return Judgement(True, why, split, rows)
    if not now >= before:
        return Judgement(False, f"its score {now:.4f} is below {before:.4f}", split, rows)
    return Judgement(True, f"no dataset is worse by more than the interval, and its score {now:.4f} is not below "
                     f"{before:.4f}", split, rows)  # fmt: skip


def _incomparable(mine: Standing, champion: Standing) -> str:
    """Why the two were not measured on the same pictures, or ``""``."""
    if missing := sorted(set(champion.data) - set(mine.data)):
        return f"the champion also knows {', '.join(missing)}"
    if other := sorted(d for d, fingerprint in champion.data.items() if mine.data[d] != fingerprint):
        return f"the champion was trained on other pictures of {', '.join(other)}"
    if mine.split != champion.split:
        return "the champion was validated on another split of the pictures"
    theirs, own = champion.results.get(VALIDATION, {}), mine.results.get(VALIDATION, {})
    if not theirs:
        return "what the champion reached is not recorded"
    if unmeasured := sorted(set(theirs) - set(own)):
        return f"{', '.join(unmeasured)} of the champion was not measured here"
    if counted := sorted(key for key, i in theirs.items() if i.sample != own[key].sample):
        return f"{', '.join(counted)} was measured on another number of pictures"
    return ""


def _interval(values: Sequence[float], sample: Sample | None) -> Interval:
    """Over seeds and pictures; of a single training over pictures alone."""
    if len(values) > 1 or sample is None:
        return interval(values, sample)
    low, high = of_pictures(values[0], sample.count) or (None, None)
    return Interval(values[0], low, high, tuple(values), sample)


def _stored(interval: Interval) -> tuple[tuple[float, ...], int, str]:
    return (
        (interval.values, interval.sample.count, interval.sample.unit) if interval.sample else (interval.values, 0, "")
    )


def _read(values: Sequence[float], count: int, unit: str) -> Interval:
    return _interval([float(v) for v in values], Sample(int(count), str(unit)) if count else None)


def _ends(interval: Interval) -> str:
    if interval.low is None or interval.high is None or not math.isfinite(interval.mean):
        return "-"
    return f"[{shown(interval.low)}, {shown(interval.high)}]"
