"""A study, or one log, as a report: which figures and tables it has, in which order, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from raytune_planes.fold_metrics import course
from raytune_planes.plugins import named
from raytune_planes.printing import counted
from raytune_planes.records import End, TrialRecord, split_metric
from raytune_planes.report import compare, data_curve, explain, gained, over_folds, overfitting, training
from raytune_planes.report.figure import Figure, Missing, Report, Section, Table
from raytune_planes.report.final import HEADS, final_rows
from raytune_planes.report.formatting import shown, signed, value_text
from raytune_planes.report.interactive import of_curve, of_gaps, of_search
from raytune_planes.report.intervals import METHOD
from raytune_planes.report.learnt import learnt_lines
from raytune_planes.report.log import Log, of_trial
from raytune_planes.report.search import Importance
from raytune_planes.report.search_section import search_section
from raytune_planes.report.summary import Summary, summarise
from raytune_planes.tasks import TASKS
from raytune_planes.tracking.costs import cost_in_words
from raytune_planes.tracking.final import read_final
from raytune_planes.tracking.gains import defaults_trial, goal_in_words, unapplied
from raytune_planes.tracking.reading import StudyFiles

PREDICTIONS = "Predictions on the validation split"
SIX: Sequence[tuple[str, str, str, Callable[[Log], object]]] = (
    ("counts", "Samples per dataset", "Bars fade from training to validation and test.", training.counts),
    (
        "accuracy",
        "Accuracy per epoch: training dashed, validation solid",
        "Rings mark where a dataset begins to rest (z) or wakes (!).",
        training.accuracy,
    ),
    (
        "losses",
        "Training loss by dataset",
        "One dot an epoch; the box holds the middle half of them, its line the median.",
        training.losses,
    ),
    (
        "correlation",
        "Which validation accuracies rise together",
        "Pearson's r over the epochs: +1 together, -1 one at the other's cost; grey where one does not change.",
        training.correlation,
    ),
    (
        "scatter",
        "Training against validation accuracy",
        "One dot an epoch. Right of the diagonal: better on training pictures than on new ones, that is overfitting.",
        training.scatter,
    ),
    (
        "contrastive",
        "Contrastive loss of the training epochs",
        "Datasets stacked; further left is a better match of pictures and prompts.",
        training.contrastive,
    ),
)
"""The figures of the published work: name, title, how to read it, numbers."""


def six(log: Log, prefix: str = "") -> list[Figure]:
    """The six figures of one trial's course; ``prefix`` goes before their files' names."""
    figures = [Figure(f"{prefix}{name}", title, caption, numbers(log)) for name, title, caption, numbers in SIX]
    if log.counted:
        return figures
    note = "The log names no counts; these are the smallest for which its accuracies are whole numbers of samples."
    return [Figure(f.name, f.title, note if f.name.endswith("counts") else f.caption, f.numbers) for f in figures]


def log_report(log: Log) -> Report:
    """Of a log in the published format."""
    firsts = [(d, log.series("val", d, "accuracy")) for d in log.datasets]
    rows = [(d, shown(v[0]), shown(v[-1]), signed(v[-1] - v[0])) for d, v in firsts if v]
    ends = Table(("validation accuracy", f"epoch {log.epochs[0]}", f"epoch {log.epochs[-1]}", "gain"), tuple(rows))
    lead = f"{counted(len(log.epochs), 'epoch')} of {', '.join(log.datasets)}."
    return Report(f"Training log {log.title}", lead, (Section("Course of the training", [], [ends], six(log)),))


def study_report(study: StudyFiles, importance: Importance | Missing, pictures: Sequence[Figure] | Missing) -> Report:
    """Of a study in whatever state: what is not there yet, or never will be, is named as missing.

    Args:
        importance: computed where Optuna may be imported.
        pictures: figures of the best trial's predictions, computed where torch may be imported.
    """
    summary = summarise(study)
    sections = [_answer(study, summary), search_section(study, importance), *_courses(study, summary)]
    sections += [*data_curve.sections(study), _pictures(pictures), _question(study)]
    figures = [f for section in sections for f in section.figures]
    gaps = {f.name: of_gaps(f.numbers) for f in figures if isinstance(f.numbers, overfitting.Gaps)}
    curves = {f.name: of_curve(f.numbers) for f in figures if isinstance(f.numbers, data_curve.Curve)}
    data = {**of_search(study), **gaps, **curves}
    final = read_final(study)
    lead = f"{_lead(study, summary)} Final training: {final.verdict}." if final else _lead(study, summary)
    return Report(f"Study {study.start.name}", lead, tuple(sections), study.start.synthetic, data)


def _lead(study: StudyFiles, summary: Summary | None) -> str:
    state = "" if study.end else " The study has not ended: this is what is known so far."
    if summary is None:
        return f"No trial is complete, so there is no best one.{state}"
    name = "The defaults are" if summary.best.number == 0 else f"Trial {summary.best.number} is"
    objectives = {o.metric for o in study.start.goal.objectives}
    values = [f"{_plain(g.metric)} {shown(g.after)} ({signed(g.difference)})" for g in summary.gains]
    parts = [v for v, g in zip(values, summary.gains, strict=True) if g.metric in objectives]
    floors = "" if summary.feasible else " It misses a floor: no complete trial keeps them all."
    if summary.best.number == 0:
        parts = [f"{_plain(g.metric)} {shown(g.after)}" for g in summary.gains if g.metric in objectives]
        kept = " that keeps every floor" if summary.feasible and study.start.goal.floors else ""
        return f"{name} best: {', '.join(parts)}. No complete trial{kept} beat them.{floors}{state}"
    return f"{name} best: {', '.join(parts)}, in brackets against the defaults.{floors}{state}"


def _epochs(study: StudyFiles, summary: Summary) -> str:
    mine = f"{over_folds.place(summary.best, summary.epoch.epoch)} of trial {summary.best.number}"
    first = defaults_trial(study) if summary.best.number else None
    before = first.best(study.start.goal) if first else None
    return mine + (f", {over_folds.place(first, before.epoch)} of the defaults" if first and before else "")


def _plain(key: str) -> str:
    return key.removeprefix("val/").replace("/", " ")


def _answer(study: StudyFiles, summary: Summary | None) -> Section:
    question = [study.start.about, f"Goal: {goal_in_words(study.start.goal)}."]
    if summary is None:
        failed = [f"Trial {t.number} failed: {t.reason}." for t in study.trials if t.end is End.FAILED]
        return Section("Answer", [*filter(None, question), *failed[:10]])
    # Which it is stands above: now why, and what it cost.
    question.append(f"Chosen for: {summary.choice.reason}. {cost_in_words(study, summary.best)}")
    confirmed = explain.uncertainty(study, summary.best)
    if summary.best.number and not confirmed:
        question.append("One seed each: the last command of this part tells gain from luck, on the test split.")
    heads, columns = gained.columns(summary.best, summary.gains)
    each = zip(summary.gains, columns, strict=True)
    gains = [(g.metric, *row, str(g.sample or "-"), gained.role(study.start.goal, g.metric)) for g, row in each]
    question += [*gained.transfer(study, summary.gains), *unapplied(study.start.goal)]
    question.append(f"Metrics on the validation split, at the best epoch of each trial ({_epochs(study, summary)}).")
    folds = over_folds.rows(summary.best, study.start.goal)
    question += [over_folds.NOTE] if folds else []
    sure = tuple(explain.confirmed_rows(study, summary.best))
    question += [METHOD] if sure else []
    changes = tuple((c.path, value_text(c.before), value_text(c.after), c.note) for c in summary.changes)
    near = tuple(
        (f"trial {a.trial.number}", ", ".join(map(signed, a.differences)), ", ".join(a.changes))
        for a in explain.nearest(summary.best, summary.choice.front, study.start.goal)
    )
    tables = [
        _named_first(study, ("metric", *heads, "n", "role"), gains),
        Table(over_folds.HEADS, folds),
        _named_first(study, HEADS, final_rows(study)),
        Table(("confirmed on the test split", "gain over the defaults, mean over seeds", "n"), sure),
        Table(("setting", "default", "best", ""), changes),
        Table(("nearest on the front", "objectives against the best", "its settings"), near),
    ]
    commands = [line for _, line in explain.commands(study, summary.best)]
    commands += [explain.confirmation(study)] if summary.best.number and not confirmed else []
    return Section("Answer", [*filter(None, question)], [t for t in tables if t.rows], commands=commands)


def _named_first(study: StudyFiles, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    """A table by metric, where the objectives come first, then the floors; the others are folded."""
    goal = study.start.goal
    named = list(dict.fromkeys([*(o.metric for o in goal.objectives), *goal.floors]))
    ordered = sorted(rows, key=lambda row: named.index(row[0]) if row[0] in named else len(named))
    return Table(header, tuple(ordered), first_rows=sum(row[0] in named for row in rows))


def _courses(study: StudyFiles, summary: Summary | None) -> list[Section]:
    first = defaults_trial(study)
    shown_trial = summary.best if summary else first or next((t for t in study.trials if t.epochs), None)
    if shown_trial is None:
        return [Section("Course of a trial", ["No trial has finished an epoch."])]
    name = "the best trial" if summary else f"trial {shown_trial.number}"
    lines = explain.rests_text(shown_trial) or ["No dataset rested."]
    figures = six(of_trial(shown_trial, study.start))
    figures[1:1] = [_compared(study, shown_trial.number)] if first and first is not shown_trial else []
    figures += _of_tasks(shown_trial)
    whose = "the defaults" if shown_trial.number == 0 else name
    return [overfitting.section(study, shown_trial, whose), Section(f"Course of {name}", lines, [], figures)]


def _of_tasks(trial: TrialRecord) -> list[Figure]:
    """The tasks' own figures, of those that the trial measured."""
    parts = (split_metric(key) for epoch in course(trial) for key in epoch.metrics)
    measured = {part[2] for part in parts if part}
    return [named(task.figure)(trial, task) for task in TASKS.values() if task.figure and measured & {*task.measures}]


def _compared(study: StudyFiles, number: int) -> Figure:
    one, other = replace(compare.side(study, number), label=f"trial {number}"), compare.side(study, 0)
    return compare.figure(one, replace(other, label="the defaults"))


def _pictures(pictures: Sequence[Figure] | Missing) -> Section:
    if isinstance(pictures, Missing):
        named = ("Confusion and worst pairs", "Predicted masks beside the ground truth", "Example predictions")
        return Section(PREDICTIONS, [], [], [Figure(n, n, "", pictures) for n in named])
    return Section(PREDICTIONS, [], [], pictures)


def _question(study: StudyFiles) -> Section:
    start = study.start
    data = tuple(
        (name, "synthetic" if d.synthetic else "files", ", ".join(f"{n} {s}" for s, n in d.counts.items()),
         d.fingerprint[:12])
        for name, d in start.data.items()
    )  # fmt: skip
    off = sorted({p.split(".")[1] for t in study.trials[:1] for p, v in t.config.items()
                  if p.startswith("datasets.") and p.endswith(".enabled") and v is False})  # fmt: skip
    text = [f"Space {start.space}, seed {start.seed}, {counted(start.trials, 'trial')} asked for."]
    text += [f"Switched off: {', '.join(off)}."] if off else []
    text += [f"{line[:1].upper()}{line[1:]}." for line in learnt_lines(study)]
    text += [f"Not read: {w}" for w in study.warnings]
    versions = tuple((name, version) for name, version in start.versions.items())
    tables = [Table(("dataset", "from", "samples", "fingerprint"), data), Table(("version of", ""), versions)]
    space = [start.space_text.rstrip()] if start.space_text.strip() else []
    return Section("Configuration of the study", text, [t for t in tables if t.rows], commands=space)
