"""Validation over the share of the training pictures, and what it says of more of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raytune_planes.errors import UserError
from raytune_planes.invocation import command, in_folder
from raytune_planes.records import TrialRecord, split_metric
from raytune_planes.report.figure import Figure, Missing, Section, Table
from raytune_planes.report.formatting import shown, signed, table
from raytune_planes.report.intervals import of_difference, of_pairs, of_pictures
from raytune_planes.report.search import primary_metrics
from raytune_planes.tracking.data_curve import IN_WORDS, PICTURES, SHARES, DataCurve, chosen, read_curve, share_folder
from raytune_planes.tracking.final import called
from raytune_planes.tracking.gains import sample_of
from raytune_planes.tracking.reading import StudyFiles
from raytune_planes.tracking.validation import read_validation

HEADING = "Would more data help?"
HOW = (
    "A smaller share is part of each larger one, whole scenes and copies together, classes in proportion. Each "
    "training has the same settings, seed, number of steps and validation pictures, and no dataset rests, so that only "
    "the training pictures differ: those of a smaller share are seen more often. What more pictures would bring to a "
    "longer training may be more than this shows."
)
INTERVALS = (
    "Intervals: 95 %, over validation pictures or scenes (Wilson 1927), of a gain by Newcombe (1998, method 10): of an "
    "accuracy picture by picture, of other metrics as if the two had been asked different pictures, which makes it "
    "wider. They say nothing of other seeds."
)
GAIN = "gain, ½ to all"
HEADS = ("dataset", "metric", *(IN_WORDS[share] for share in SHARES), GAIN)


@dataclass(frozen=True)
class Panel:
    """One dataset on each share, in the order of ``SHARES``."""

    dataset: str
    metric: str
    pictures: tuple[int, ...]
    """That train."""
    classes: tuple[int, ...]
    """That these show."""
    values: tuple[float, ...]
    """On the validation split, at the epoch that is kept; NaN where a share has no result. In [0, 1]."""
    intervals: tuple[tuple[float, float] | None, ...]
    correlations: tuple[float, ...] = (0.0,) * len(SHARES)
    """Of the right answers on each share with those on all, picture by picture; 0 where these are not known."""

    def gain(self, share: int = -2) -> float:
        """From the share at this place, by default half of the pictures, to all; NaN where one is missing."""
        return self.values[-1] - self.values[share]

    def gain_interval(self, share: int = -2) -> tuple[float, float] | None:
        """Of ``gain``."""
        less, whole = self.intervals[share], self.intervals[-1]
        if less is None or whole is None:
            return None
        return of_difference(self.values[-1], whole, self.values[share], less, self.correlations[share])


@dataclass(frozen=True)
class Curve:
    """A metric of each dataset over the share of its training pictures."""

    shares: tuple[float, ...]
    names: tuple[str, ...]
    panels: tuple[Panel, ...]


def sections(study: StudyFiles) -> list[Section]:
    """The part of a report; empty where no data curve was begun."""
    kept = read_curve(study)
    if kept is None:
        return []
    curve = numbers(study, kept)
    title = f"Validation of {called(kept.number)} by the share of the training pictures"
    caption = "Bars: intervals over validation pictures or scenes. Each step doubles the training pictures."
    if isinstance(curve, Missing):
        return [Section(HEADING, [_what(study, kept), HOW], [], [Figure("data-curve", title, caption, curve)])]
    text = [*map(reading, curve.panels), _what(study, kept), HOW, *_notes(kept, curve), INTERVALS]
    return [Section(HEADING, text, [Table(HEADS, rows(curve))], [Figure("data-curve", title, caption, curve)])]


def as_lines(study: StudyFiles) -> list[str]:
    """The same for a terminal, without how it was made."""
    kept = read_curve(study)
    curve = numbers(study, kept) if kept else None
    if kept is None or not isinstance(curve, Curve):
        return []
    heading = f"{called(kept.number)} by the share of the training pictures, on the validation split"
    return [heading, *table(HEADS, rows(curve)), *map(reading, curve.panels), *_notes(kept, curve)]


def numbers(study: StudyFiles, kept: DataCurve) -> Curve | Missing:
    """What the records of a data curve hold, of the datasets that the study is judged by."""
    panels = [_panel(study, kept, dataset, key) for dataset, key in primary_metrics(study).items()]
    measured = tuple(panel for panel in panels if any(map(math.isfinite, panel.values)))
    if not measured:
        return Missing("no share has a result yet")
    return Curve(SHARES, tuple(IN_WORDS[share] for share in SHARES), measured)


def rows(curve: Curve) -> tuple[tuple[str, ...], ...]:
    """Cells under ``HEADS``."""
    found = []
    for panel in curve.panels:
        values = (_with(shown(v), i, signs=False) for v, i in zip(panel.values, panel.intervals, strict=True))
        gain = _with(signed(panel.gain()), panel.gain_interval(), signs=True)
        found.append((panel.dataset, panel.metric.replace("_", " "), *values, gain))
    return tuple(found)


def reading(panel: Panel) -> str:
    """Whether more pictures of a dataset would help, in a sentence."""
    name, ends = panel.metric.replace("_", " "), panel.gain_interval()
    if not math.isfinite(panel.gain()):
        return f"{panel.dataset}: half or all of the training pictures have no result, so there is no gain to read."
    moved = (
        f"{panel.dataset}: from {panel.pictures[-2]:,} to {panel.pictures[-1]:,} training pictures {name} changes by"
    )
    if ends is None:
        return f"{moved} {signed(panel.gain())}; on how many pictures is not known, so nothing follows."
    moved = f"{moved} {_with(signed(panel.gain()), ends, signs=True)}"
    if ends[0] > 0:
        return f"{moved}: the second half helped, and more pictures would probably help further."
    if ends[1] < 0:
        return f"{moved}: the second half did not help at this number of steps."
    first = panel.gain_interval(0)
    grew = f"from {panel.pictures[0]:,} on it rose by {_with(signed(panel.gain(0)), first, signs=True)}"
    before = f" Until then more pictures helped: {grew}." if first and first[0] > 0 else ""
    unclear = "the interval includes 0, so that the second half shows no gain"
    return f"{moved}: {unclear}; one above {ends[1]:.4f} is unlikely.{before}"


def _panel(study: StudyFiles, kept: DataCurve, dataset: str, key: str) -> Panel:
    parts = split_metric(key)
    assert parts is not None, "primary metrics have a split, a dataset and a name"
    records = [kept.trained.get(share) for share in SHARES]
    results = [_result(kept, record, key) for record in records]
    told = [_pictures(record, dataset) for record in records]
    ends = tuple(of_pictures(value, n) for value, n in results)
    pictures, classes = tuple(p for p, _ in told), tuple(c for _, c in told)
    values = tuple(value for value, _ in results)
    is_share = parts[2] == "accuracy"  # of pictures, each right or wrong
    known = [_right(share_folder(study, kept.number, kept.epochs, s), dataset) if is_share else None for s in SHARES]
    correlations = tuple(_correlation(less, known[-1]) for less in known)
    return Panel(dataset, parts[2], pictures, classes, values, ends, correlations)


def _right(folder: Path, dataset: str) -> tuple[np.ndarray, np.ndarray] | None:
    """The validation pictures of the epoch that is kept, and whether each is answered rightly; None where no file says
    it."""
    try:
        found = read_validation(folder).get(dataset)
    except UserError:
        return None
    return None if found is None else (found.pictures_N, found.logits_NK.argmax(1) == found.labels_N)


def _correlation(less: tuple[np.ndarray, np.ndarray] | None, whole: tuple[np.ndarray, np.ndarray] | None) -> float:
    """0 where they are not known of the same pictures."""
    if less is None or whole is None or not np.array_equal(less[0], whole[0]):
        return 0.0
    first_N, second_N = less[1], whole[1]
    pairs = (first_N & second_N, first_N & ~second_N, ~first_N & second_N, ~first_N & ~second_N)
    return of_pairs(*(int(pair_N.sum()) for pair_N in pairs))


def _result(kept: DataCurve, record: TrialRecord | None, key: str) -> tuple[float, int]:
    """Its value at the epoch that is kept, and on how many pictures or scenes; NaN before it has ended."""
    epoch = record.best(kept.goal) if record and record.end.is_complete else None
    sample = sample_of(key, epoch.metrics) if epoch else None
    return (epoch.metrics.get(key, math.nan) if epoch else math.nan), sample.count if sample else 0


def _pictures(record: TrialRecord | None, dataset: str) -> tuple[int, int]:
    """How many train, and how many classes they show; zeros where no record says it."""
    count, _, classes = (record.tags.get(PICTURES + dataset, "") if record else "").partition(" of ")
    words = (count.replace(",", ""), classes.partition(" ")[0].replace(",", ""))
    return (int(words[0]), int(words[1])) if all(word.isdecimal() for word in words) else (0, 0)


def _what(study: StudyFiles, kept: DataCurve) -> str:
    """Which trial is shown, and whether it still is the study's choice."""
    record = next(iter(kept.trained.values()), None)
    samples = max((t.trained for t in kept.trained.values()), default=0)
    budget = f", {samples:,} samples each" if record else ""
    what = f"{called(kept.number).capitalize()}, trained anew on ¼, ½ and all of the training pictures{budget}."
    again = command(f"report {study.start.name}{in_folder(study.folder.parent)} --data-curve")
    now = chosen(study)
    if now and (now.trial.number, now.epochs) != (kept.number, kept.epochs):
        other = called(now.trial.number) + (f" at {now.epochs} epochs" if now.epochs else "")
        return f"{what} The study's choice is {other} by now; {again} trains that one."
    missing = [IN_WORDS[s] for s in SHARES if s not in kept.trained or not kept.trained[s].end.is_complete]
    why = [f" On {IN_WORDS[s]} it failed: {t.reason}." for s, t in kept.trained.items() if t.end == "failed"]
    return what + "".join(why) + (f" Without a result: {', '.join(missing)}; {again} goes on." if missing else "")


def _notes(kept: DataCurve, curve: Curve) -> list[str]:
    """What else than the pictures can differ between the shares."""
    config = next(iter(kept.trained.values())).config
    notes = [
        f"{panel.dataset}: {curve.names[i]} of its pictures show {panel.classes[i]} of its {panel.classes[-1]} classes."
        for panel in curve.panels
        for i in range(len(curve.shares) - 1)
        if 0 < panel.classes[i] < panel.classes[-1]
    ]
    if config.get("mixing.rule") == "gain":
        notes.append("mixing.rule = gain hands out steps by validation, so that datasets' steps differ between shares.")
    if config.get("start"):
        notes.append(f"Each began with the weights of {config['start']}, which may have seen all pictures.")
    if config.get("losses.distillation.weight"):
        notes.append("Each learnt from specialists (losses.distillation), which have seen all training pictures.")
    if config.get("split.kind") == "kfold":
        notes.append(f"Each was trained on one fold (split.fold = {config.get('split.fold', 0)}), not on all of them.")
    return notes


def _with(text: str, interval: tuple[float, float] | None, *, signs: bool) -> str:
    form = signed if signs else shown
    return f"{text} [{form(interval[0])}, {form(interval[1])}]" if interval else text
