"""The card of the model that a study hands over, beside its defaults and each dataset trained alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from raytune_planes.invocation import predicting
from raytune_planes.printing import counted, time_text
from raytune_planes.records import TrialRecord
from raytune_planes.report import final, gained
from raytune_planes.report.card import FILE, Subject, card
from raytune_planes.report.confirmed import at_budget, cell, read_confirmed
from raytune_planes.report.explain import confirmed_rows
from raytune_planes.report.intervals import METHOD
from raytune_planes.report.markdown import code, escaped, table
from raytune_planes.report.summary import end_counts
from raytune_planes.tracking.costs import trained_for
from raytune_planes.tracking.files import trial_folder, write_whole
from raytune_planes.tracking.final import Handed, called, handed_over, read_final
from raytune_planes.tracking.gains import best_of, gains, goal_in_words
from raytune_planes.tracking.reading import StudyFiles


def write_study_card(study: StudyFiles) -> Path | None:
    """Write it into the study's folder; None while no trial is complete."""
    text = study_card(study)
    if text is not None:
        write_whole(study.folder / FILE, text)
    return None if text is None else study.folder / FILE


def study_card(study: StudyFiles) -> str | None:
    """Of what the study hands over; where all miss a floor, of its best trial; None while no trial is complete."""
    best = best_of(study)
    handed = handed_over(study)
    if handed is None and best is not None:
        handed = Handed(best, study.start.goal, trial_folder(study.folder, best.number, best.trial_id))
    if handed is None or handed.trial.best(handed.goal) is None:
        return None
    start, long = study.start, f", trained again for {handed.epochs} epochs" if handed.epochs else ""
    name = f"{called(handed.trial.number)} of study {code(start.name)}{long}"
    subject = Subject(name, handed.trial, handed.goal, start.data, {}, start.commit, start.versions)
    weights = code(handed.weights.relative_to(study.folder))
    use = predicting(study.folder)
    lines = [*_beside(study, handed), *_confirmed(study, handed.trial), "", *_search(study)]
    return card(subject, ["", f"The weights are {weights} in the folder of the study. To use them: `{use}`", *lines])


def _beside(study: StudyFiles, handed: Handed) -> Iterator[str]:
    """The defaults, and each dataset trained alone."""
    if handed.epochs:
        ended = read_final(study)
        assert ended is not None, "what is handed over at a long budget was trained there"
        yield from ("", f"{escaped(ended.verdict)}. On the validation split, at both budgets:", "")
        rows = [(code(row[0]), *row[1:]) for row in final.final_rows(study)]
        yield from table(final.HEADS, rows, right=range(1, len(final.HEADS)))
        return
    found = gains(study, handed.trial)
    heads, numbers = gained.columns(handed.trial, found)
    yield from ("", "Beside the defaults, and each dataset trained alone, on the validation split:", "")
    rows = [(code(g.metric), *values) for g, values in zip(found, numbers, strict=True)]
    yield from table(("metric", *heads), rows, right=range(1, len(heads) + 1))
    if transfer := gained.transfer(study, found):
        yield from ("", *(f"- {escaped(line)}" for line in transfer))


def _confirmed(study: StudyFiles, trial: TrialRecord) -> Iterator[str]:
    """What the final check found on the test split."""
    confirmed = read_confirmed(study.folder)
    if trial.number not in confirmed:
        return
    mine, gain = confirmed[trial.number], {key: text for key, text, _ in confirmed_rows(study, trial)}
    seeds = max((len(i.values) for i in mine.metrics.values()), default=0)
    yield ""
    yield f"On the test split, trained again with {counted(seeds, 'seed')}{at_budget([mine])}, mean over seeds:"
    yield ""
    rows = [
        (code(key), cell(i), gain.get(key, "-"), str(i.sample or "-"))
        for key, i in sorted(mine.metrics.items())
        if i.sample and 0 <= i.mean <= 1
    ]
    yield from table(("metric", "value", "gain over the defaults", "n"), rows, right=(1, 2, 3))
    yield from ("", METHOD)


def _search(study: StudyFiles) -> Iterator[str]:
    start = study.start
    ends = ", ".join(f"{count} {end}" for end, count in end_counts(study).items())
    samples = sum(t.trained for t in study.trials)
    took = time_text(sum(map(trained_for, study.trials)))
    yield f"Found by a search over the space {code(start.space)} ({code(start.space_digest[:12])}), seed {start.seed}."
    yield f"It asked: {escaped(start.about or start.name)} Its goal: {escaped(goal_in_words(start.goal))}."
    yield (
        f"It took {counted(len(study.trials), 'trial')} ({ends}), {counted(samples, 'training picture')} and "
        f"{took} of trials, one after the other. The best of many trials is optimistic about its validation split."
    )
