"""What MLflow's descriptions say, in Markdown: of a study, and of its best trial."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from raytune_planes.errors import UserError
from raytune_planes.fold_metrics import results
from raytune_planes.printing import printable
from raytune_planes.records import End, Goal, TrialRecord
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.costs import cost_in_words
from raytune_planes.tracking.final import read_final, rows
from raytune_planes.tracking.gains import (
    Gain,
    best_of,
    defaults_trial,
    gains,
    goal_in_words,
    missed_in_words,
    unapplied,
)
from raytune_planes.tracking.mlflow_fields import (
    NOTE,
    cut,
    digest,
    params,
    short_names,
    trial_name,
    trial_note,
    value_text,
)
from raytune_planes.tracking.mlflow_view import view_path
from raytune_planes.tracking.notes import Notes, read_notes
from raytune_planes.tracking.reading import StudyFiles

EXPERIMENT_NOTE = (
    "Studies that tune one model on several datasets at once. Each study is one run, named like the study, whose "
    "description says what was asked and what was found. Its trials are the runs below it, the best marked with a "
    "star. A name such as `trial 002, pruned` says how a trial ended, and the columns `end` and `reason`, right of the "
    "settings, why: *pruned* means that the search stopped it early, which is no fault. "
    "A trial below a floor says in `floors` which and by how much, and has no `score`."
)

LISTED = "The list of metrics below has the last epoch of each `val/` and `train/`, and in `best/` the best epoch."


OURS = "mlflow.note.ours"
"""Tag with the digest of a description that was written here; the UI hides it. One that people changed stays theirs."""
_BEFORE = ("Studies that tune one model on several datasets at once.", "Best: **", "No trial is complete yet.")
"""How descriptions of versions without that tag begin."""


def marked(note: str) -> dict[str, str]:
    """The tags that describe a run or an experiment by ``note``."""
    return {NOTE: note, OURS: digest(note)}


def stale(tags: Mapping[str, str], note: str) -> bool:
    """Whether the description among ``tags`` was written here and is no longer ``note``."""
    before = tags.get(NOTE, "")
    ours = digest(before) == tags[OURS] if tags.get(OURS) else not before or before.startswith(_BEFORE)
    return ours and before != note


def experiment_note(experiment_id: str, start: StudyStart) -> str:
    """Markdown for the experiment: what is in it, and where the study that was recorded last is shown."""
    table, shown = (view_path(experiment_id, start, as_charts=charts) for charts in (False, True))
    links = f"[trials, best first]({table}), [charts]({shown})"
    return f"{EXPERIMENT_NOTE}\n\nRecorded last, study `{printable(start.name)}`: {links}."


def written_notes(study: StudyFiles) -> Notes:
    """What people wrote about the study; nothing where the file is damaged, which ``best`` tells."""
    try:
        return read_notes(study.folder)
    except UserError:
        return Notes()


def best_note(study: StudyFiles, best: TrialRecord, report: str) -> str:
    """Of the best trial: its gain by dataset, its cost, the settings that it changed, the report, and its decisions.

    Args:
        report: Address of the study's report inside the UI; empty where it is not in this store.
    """
    goal, epoch = study.start.goal, best.best(study.start.goal)
    assert epoch is not None, "a best trial has epochs"
    missed = missed_in_words(goal, epoch.metrics)
    kept = f"it misses a floor: {missed}" if missed else "every floor is kept" if goal.floors else "no floor is set"
    kept = "; ".join([kept, *unapplied(goal)])
    score = f"score {goal.value(epoch.metrics):.4f} at epoch {epoch.epoch}"
    gained = gains(study, best)
    short = "; ".join(_in_words(g) for o in goal.objectives for g in gained if g.metric == o.metric)
    head = f"**Best of study {study.start.name}**: {score}; {kept}. {short}. {_score_in_words(goal)}"
    where = [f"[Report of the study]({report})"] if report else ["Report: see the study's own run, once it has ended."]
    # The UI folds all but the first lines.
    parts = [
        [cost_in_words(study, best)],
        [LISTED],
        _gains(best, gained),
        _changes(study, best),
        where,
        [trial_note(best)],
    ]
    return cut("\n".join([head, *(line for part in parts for line in ("", *part))]))


def _score_in_words(goal: Goal) -> str:
    several = "the mean of the objectives" if len(goal.objectives) > 1 else "the objective"
    return f"The score is {several}; only complete trials{' that keep every floor' if goal.floors else ''} have one."


def _in_words(gain: Gain) -> str:
    """``val/fgvc/accuracy 0.5000 (defaults 0.3000, alone 0.4500)``."""
    beside = [("defaults", gain.before), ("alone", gain.alone)]
    texts = [f"{name} {value:.4f}" for name, value in beside if math.isfinite(value)]
    return f"{gain.metric} {gain.after:.4f}" + (f" ({', '.join(texts)})" if texts else "")


def _changes(study: StudyFiles, best: TrialRecord) -> list[str]:
    first = defaults_trial(study)
    before, names = first.config if first else {}, short_names([*study.start.searched, *best.drawn])
    changed = [path for path in best.drawn if path not in before or before[path] != best.drawn[path]]
    if not changed:
        return ["It has the settings of the defaults."]
    cells = [(names[p], before.get(p, "-"), best.drawn[p]) for p in changed]
    texts = [(name, *(printable(value_text(v)).replace("|", "\\|") for v in values)) for name, *values in cells]
    return ["| setting | defaults | best |", "|---|---|---|", *(f"| `{n}` | {a} | {b} |" for n, a, b in texts)]


def _written(study: StudyFiles) -> list[str]:
    lines = written_notes(study).as_lines()
    return ["", *(f"- {line}" for line in lines)] if lines else []


def study_note(study: StudyFiles) -> str:
    """Markdown for the study's run: what is best so far (the UI folds all but the first lines), and what was asked."""
    start, best = study.start, best_of(study)
    ends = ", ".join(f"{n} {end}" for end in End if (n := sum(t.end is end for t in study.trials)))
    about_study = [
        *_final(study),
        "",
        f"Space `{start.space}` ({start.space_digest[:12]}), seed {start.seed}. Trials: {ends or 'none yet'}.",
    ]
    if start.synthetic:
        about_study += ["", "The data is synthetic: figures say how the search works, not how well planes are found."]
    question = ["", f"**{start.about or start.name}**", "", f"Goal: {goal_in_words(start.goal)}.", *_written(study)]
    result = _result(study, best) if best else ["No trial is complete yet."]
    cost = ["", cost_in_words(study, best)] if best else []
    return cut("\n".join([result[0], *cost, *question, *about_study, *result[1:]]))


def _result(study: StudyFiles, best: TrialRecord) -> list[str]:
    start, epoch = study.start, best.best(study.start.goal)
    assert epoch is not None, "a best trial has epochs"
    gained = gains(study, best)
    objectives = [o.metric for o in start.goal.objectives]
    before = {g.metric: f"{g.before:.4f} → " if best.number else "" for g in gained}
    short = ", ".join(f"{g.metric} {before[g.metric]}{g.after:.4f}" for g in gained if g.metric in objectives)
    kept = "" if start.goal.feasible(epoch.metrics) else ", **below a floor**"
    place = f"over {len(folds)} folds" if (folds := results(best)) else f"at epoch {epoch.epoch}"
    lines = [f"Best: **{trial_name(best)}**, score {start.goal.value(epoch.metrics):.4f}{kept} {place}. " + short]
    lines += ["", *_gains(best, gained)]
    lines += ["", "| drawn setting | best |", "|---|---|"]
    drawn = {path: printable(value).replace("|", "\\|") for path, value in params(start, best).items()}
    lines += [f"| `{path}` | {value} |" for path, value in drawn.items()]
    return [
        *lines,
        "",
        f"Sort the trials by `score`, highest first. {_score_in_words(start.goal)}",
    ]


def _gains(best: TrialRecord, gained: Iterable[Gain]) -> list[str]:
    """What was not measured is a dash; without any dataset trained alone there is no column of them."""
    gained = list(gained)
    columns = {"defaults": [_number(g.before if best.number else g.after) for g in gained]}
    if best.number:
        columns |= {"best": [_number(g.after) for g in gained], "gain": [_number(g.difference, "+") for g in gained]}
    if any(math.isfinite(g.alone) for g in gained):
        columns["alone"] = [_number(g.alone) for g in gained]
    columns["n"] = [str(g.sample or "-") for g in gained]
    lines = [f"| metric | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    rows = zip(*columns.values(), strict=True)
    return [*lines, *(f"| {g.metric} | {' | '.join(row)} |" for g, row in zip(gained, rows, strict=True))]


def _final(study: StudyFiles) -> list[str]:
    """Both budgets, where the study has trained at the long one."""
    final = read_final(study)
    if final is None:
        return []
    lines = ["", f"**Final training**: {final.verdict}.", ""]
    lines += [
        "| metric | defaults | best | alone | defaults, long | choice, long | gain |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows(study, final):
        values = (row.short.before, row.short.after, row.short.alone, row.before, row.after, row.after - row.before)
        cells = [f"{value:.4f}" if math.isfinite(value) else "-" for value in values]
        lines.append(f"| {row.short.metric} | {' | '.join(cells)} |")
    return lines


def _number(value: float, sign: str = "") -> str:
    return f"{value:{sign}.4f}" if math.isfinite(value) else "-"
