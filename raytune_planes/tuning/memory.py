"""Opens the search of a study and makes its database again from the records where it is lost, damaged or differs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from raytune_planes.errors import UserError
from raytune_planes.printing import counted
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.space import Space
from raytune_planes.tuning.database import Damaged, Database
from raytune_planes.tuning.search import ID, OtherSpace, Search
from raytune_planes.tuning.shared_database import SharedDatabase

STATES = {
    End.CONVERGED: TrialState.COMPLETE,
    End.COMPLETED: TrialState.COMPLETE,
    End.PRUNED: TrialState.PRUNED,
    End.FAILED: TrialState.FAIL,
}
"""Of trials that have ended; a complete one without numbers counts as failed."""
Say = Callable[[str], None]


def open_search(
    space: Space, database: Database, earlier: Sequence[TrialRecord], say: Say, *, digest: str = "", **options: Any
) -> tuple[Search, tuple[TrialRecord, ...]]:
    """The search of a study, and its trials so far: the records, and the database made to agree with them.

    A trial that the database knows and the records do not, or that is missing between two others, is trained again
    under its number. What was in the database's place is kept beside it.

    Args:
        earlier: the study's trials on record.
        digest: of the space that the study was started with, where a record states it.
        options: of ``Search``.

    Raises:
        UserError: the study is of another space, two trials on record have one number, or the database cannot be
            opened.
    """
    check_numbers(earlier)
    if digest and digest != space.digest:
        raise OtherSpace(
            f"the study in {database.parent} was started with another search space, or other fixed settings, "
            "objectives or floors; keep those, or give the new study a name of its own (--name)"
        )
    lost: tuple[TrialRecord, ...] = ()
    if not database.exists() and earlier:
        why = database.missing if isinstance(database, SharedDatabase) else f"{database} is missing"
    else:
        try:
            search = Search(space, database, **options)
        except (Damaged, OtherSpace) as error:
            if isinstance(error, OtherSpace) and not digest:
                raise
            why = str(error)
        else:
            earlier = tuple(_with_end(t, search, say) for t in earlier)
            lost = _lost(search, earlier)
            why = disagreement(search, earlier) or (f"trial {lost[0].number} has no records" if lost else "")
            if not why:
                return search, earlier
            search.close()
    records = tuple(sorted((*earlier, *lost), key=lambda t: t.number))
    kept = _set_aside(database)
    reason = f"{why}; it is kept as {kept}" if kept else why
    say(f"{reason}. The search's database is recreated from the records of {counted(len(earlier), 'trial')}")
    for trial in lost:
        say(f"trial {trial.number} ({trial.trial_id}) has lost its records: it is trained again")
    return rebuild(space, database, records, say, **options), records


def rebuild(
    space: Space, database: Database | None, records: Sequence[TrialRecord], say: Say = lambda _: None, **options: Any
) -> Search:
    """A search in the state that handing out ``records`` and receiving their results, in their order, leads to.

    A number that is missing among them is asked again: it has the draws of its turn, and is running.
    """
    known = {t.number: t for t in records}
    count = max(known, default=-1) + 1
    search = Search(space, database, drawn=[known[n].drawn if n in known else None for n in range(count)], **options)
    limit, search.limit = search.limit, None
    for _, number, _, action in _course(known, count):
        trial = known.get(number)
        if isinstance(action, EpochRecord):
            assert trial is not None
            search.report(trial.trial_id, action)
        elif action == "end":
            assert trial is not None
            search.tell(trial)
        else:
            suggested = search.ask(trial.trial_id if trial else None)
            assert suggested is not None
            assert suggested.number == number, (suggested.number, number)
            if trial is None:
                say(f"trial {number} has lost its records: it is trained again")
    search.limit = limit
    return search


def disagreement(search: Search, records: Sequence[TrialRecord]) -> str:
    """The first thing in which the database and the records of a study differ; empty where they agree.

    That a trial has ended or reached an epoch may be missing in the database: the records are written first.
    """
    known = search.trials
    for record in records:
        there = known[record.number] if record.number < len(known) else None
        if there is None or there.user_attrs.get(ID) != record.trial_id:
            return f"the search's database does not know trial {record.number} ({record.trial_id})"
        if difference := _difference(search, there, record):
            return f"the search's database has {difference} of trial {record.number}"
    return ""


def check_numbers(records: Sequence[TrialRecord]) -> None:
    """Raises UserError where two trials have one number."""
    by_number: dict[int, TrialRecord] = {}
    for trial in records:
        other = by_number.setdefault(trial.number, trial)
        if other is not trial:
            raise UserError(
                f"two trials on record have the number {trial.number}: {other.trial_id} and {trial.trial_id}; "
                "move the folder of one of them out of the study's 'trials', then resume"
            )


def _difference(search: Search, there: FrozenTrial, record: TrialRecord) -> str:
    if search.drawn(there) != dict(record.drawn):
        return "other settings"
    goal = search.goal
    reported = {e.samples: goal.values(e.metrics)[0] for e in record.epochs} if len(goal.objectives) == 1 else {}
    if any(reported.get(step) != value for step, value in there.intermediate_values.items()):
        return "other values on the way"
    if not there.state.is_finished():
        return ""
    if record.end not in STATES:
        return "the end, and the records do not,"
    values = _values(record, goal)
    state = TrialState.FAIL if record.end.is_complete and not values else STATES[record.end]
    recorded_end = End.FAILED if state is TrialState.FAIL else record.end
    if (there.state, there.user_attrs.get("end")) != (state, recorded_end):
        return "another end"
    return "other values" if state is TrialState.COMPLETE and tuple(there.values) != values else ""


def _values(record: TrialRecord, goal: Goal) -> tuple[float, ...]:
    """The objectives of a complete trial; empty where an objective is no number."""
    best = record.best(goal)
    values = goal.values(best.metrics) if best else ()
    return values if all(map(math.isfinite, values)) else ()


def _with_end(record: TrialRecord, search: Search, say: Say) -> TrialRecord:
    """The record with the end that the database was told, where that is lost on disk and all epochs are there."""
    known = search.trials
    there = known[record.number] if record.number < len(known) else None
    if record.end in STATES or there is None or not there.state.is_finished():
        return record
    stored, samples = there.user_attrs, record.epochs[-1].samples if record.epochs else 0
    if (
        stored.get(ID) != record.trial_id
        or stored.get("samples", samples) != samples
        or there.datetime_complete is None
    ):
        return record
    say(
        f"trial {record.number} ({record.trial_id}) has lost its end.json: the search knows that it was {stored['end']}"
    )
    ended_ms = int(there.datetime_complete.timestamp() * 1000)
    return replace(record, end=End(stored["end"]), reason=stored["reason"], ended_ms=ended_ms)


def _lost(search: Search, records: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    """Trials that the database saw end and that are not on record, as running ones; none where it has other trials."""
    known = {t.number: t for t in search.trials}
    there = {t.number: t.trial_id for t in records}
    if any(n not in known or known[n].user_attrs.get(ID) != trial_id for n, trial_id in there.items()):
        return ()
    return tuple(
        TrialRecord(t.user_attrs[ID], n, search.drawn(t), {}, started_ms=_started_ms(t))
        for n, t in known.items()
        if n not in there and t.state.is_finished() and ID in t.user_attrs
    )


def _started_ms(trial: FrozenTrial) -> int:
    return int(trial.datetime_start.timestamp() * 1000) if trial.datetime_start else 0


def _course(known: Mapping[int, TrialRecord], count: int) -> list[tuple[int, int, int, EpochRecord | str]]:
    """All that a search was asked and told, as (time, number, turn, what), in order; what is handed out at once comes
    by number."""
    events: list[tuple[int, int, int, EpochRecord | str]] = []
    began = max((t.started_ms for t in known.values()), default=0)
    for number in reversed(range(count)):
        trial = known.get(number)
        began = min(began, trial.started_ms if trial else began)
        events.append((began, number, 0, "ask"))
        for turn, epoch in enumerate(trial.epochs if trial else (), start=1):
            events.append((max(began, epoch.time_ms), number, turn, epoch))
        if trial and (trial.end in STATES or trial.end is End.PAUSED):
            last = max([began, trial.ended_ms, *(e.time_ms for e in trial.epochs)])
            events.append((last, number, len(trial.epochs) + 1, "end"))
    return sorted(events, key=lambda event: event[:3])


def _set_aside(database: Database) -> str:
    """Rename a database with what SQLite keeps beside it; returns its new name, empty where there was none."""
    if isinstance(database, SharedDatabase):
        return database.set_aside()
    name = f"{database.name}.before-{time.strftime('%Y%m%d-%H%M%S')}"
    was_there = database.exists()
    for ending in ("", "-wal", "-shm"):
        path = database.with_name(database.name + ending)
        if path.exists():
            path.rename(database.with_name(name + ending))
    return name if was_there else ""
