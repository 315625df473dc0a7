"""What earlier runs of a study left: their trials, mended, and a search that knows all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.origin import Origin, origin_of
from raytune_planes.tuning.memory import open_search
from raytune_planes.tuning.mending import mend
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.search import Search, Suggestion
from raytune_planes.tuning.shared_database import SharedDatabase

DATABASE = "optuna.db"


def recover(
    plan: StudyPlan, folder: Path, say: Callable[[str], None]
) -> tuple[Search, tuple[TrialRecord, ...], tuple[Suggestion, ...]]:
    """The search of the study in ``folder``, its trials so far, and those of them that continue.

    The files are the source: what is lost or damaged among them is put right from each other, then the search's
    database is made to agree, and every loss is reported by ``say``. Of a new study nothing is there yet.

    Raises:
        UserError: the folder holds a study of another space, or two trials of one number.
    """
    trials = mend(folder, plan.space, say)
    known = origin_of(folder)
    if trials:
        try:
            if known and Origin.of(reading.read_ends(folder)[0]) != known:
                say(f"{folder / files.STUDY} belongs to another study than the trials next to it; it is recreated")
        except reading.DamagedFile as error:
            say(str(error))
    search, trials = open_search(
        plan.space,
        SharedDatabase(plan.search_db, folder, plan.name) if plan.search_db else folder / DATABASE,
        trials,
        say,
        digest=known.space_digest if known else "",
        name=plan.name,
        sampler=plan.settings.sampler,
        seed=plan.seed,
        start_from=plan.start_from,
        learnt=plan.learnt,
        limit=plan.settings.trials,
    )
    for trial in trials:
        place = files.trial_folder(folder, trial.number, trial.trial_id)
        if not trial.end.is_open and not reading.has_ended(place):  # lost on disk, known to the search
            files.save_json(place / files.END, reading.trial_end_to_json(trial))
    return search, trials, _settled(search, trials)


def _settled(search: Search, trials: tuple[TrialRecord, ...]) -> tuple[Suggestion, ...]:
    """Report to the search what its driver recorded and could not report before it died; the rest can continue."""
    on_record = {t.trial_id: t for t in trials}
    for trial in search.running():
        if record := on_record.get(trial.trial_id):
            search.adopt(trial.trial_id)
            for epoch in record.epochs:
                search.report(trial.trial_id, epoch)
            search.tell(record)
    paused = {t.trial_id for t in trials if t.end is End.PAUSED}
    return tuple(trial for trial in search.running() if trial.trial_id not in paused)
