"""The search: proposes configurations, learns how they ended, and remembers all of it in a database.

No Ray here: a study, a simulation and a test drive it alike. ``searcher.py`` lets Ray Tune ask it.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.settings import Value, overlaid
from raytune_planes.space import Given, Space, suggest
from raytune_planes.tracking.learnt import NOTHING, Learnt
from raytune_planes.tuning.database import Database, close, damage_told, storage
from raytune_planes.tuning.drawn import FIXED, GIVEN, OptunaDraw
from raytune_planes.tuning.mirrored import Mirrored
from raytune_planes.tuning.patient import Patient
from raytune_planes.tuning.samplers import build, check_sampler, quiet
from raytune_planes.tuning.seen import REACHED, Known
from raytune_planes.tuning.shared_database import SharedDatabase

ID, DIGEST, SALT = "trial_id", "space", "salt"
"""Attributes in the database: our id of a trial, the space's digest, and ``Learnt.salt``."""


class OtherSpace(UserError):
    """The database is of a study over another search space."""


@dataclass(frozen=True)
class Suggestion:
    """A trial to run."""

    trial_id: str
    number: int
    drawn: dict[str, Value]


class Search:
    """Optuna over one space: suggests trials, receives their ends; all its state is in the database.

    Trial 0 takes the defaults; ``start_from`` (whole configurations, dotted path -> value) come next, then what is
    ``learnt``. ``limit`` is the number of trials over all runs of the study. Without a ``database`` nothing outlives
    the process. ``drawn`` are the draws of trials that a database which is lost had handed out, None for one to be
    drawn again: in a new database the next calls of ``ask`` hand out these first.

    Raises:
        UserError: the sampler cannot search this space, or the database is damaged or of another space.
    """

    def __init__(
        self,
        space: Space,
        database: Database | None = None,
        *,
        name: str = "study",
        sampler: str | None = None,
        options: Mapping[str, Any] | None = None,
        seed: int = 0,
        start_from: Sequence[Mapping[str, Value]] = (),
        learnt: Learnt = NOTHING,
        limit: int | None = None,
        drawn: Sequence[Mapping[str, Value] | None] = (),
    ) -> None:
        self.space, self.goal, self.seed, self.limit = space, space.goal, seed, limit
        self.sampler, self.options = sampler or space.study.sampler, dict(options or {})
        check_sampler(self.sampler, space)
        with quiet(), damage_told(database):
            self._storage = storage(database)
            self._study = optuna.create_study(
                storage=self._storage,
                study_name=database.study if isinstance(database, SharedDatabase) else name,
                directions=["maximize" if o.mode == "max" else "minimize" for o in self.goal.objectives],
                load_if_exists=True,
            )
            known = self.trials
        self._open: dict[str, optuna.Trial] = {}
        self._reported: dict[str, set[int]] = {}  # samples, by id
        self._known: dict[int, Known] | None = {}
        if known:
            self._check_same_space(database)
        else:
            self._begin(start_from, learnt, drawn)
        self._salt = int(self._study.user_attrs.get(SALT, 0))
        if isinstance(database, SharedDatabase):
            database.keep()

    def ask(self, trial_id: str | None = None) -> Suggestion | None:
        """The next trial to run, under ``trial_id`` or an id of its own; None when ``limit`` trials were handed out."""
        undrawn = next((t for t in self._in_state(TrialState.RUNNING) if ID not in t.user_attrs), None)
        turn = self.handed_out - (undrawn is not None)
        if self.limit is not None and turn >= self.limit:
            return None
        self._study.sampler = build(self.sampler, self.seed, turn, self.options, self._known, self._salt)
        with quiet():
            # A driver that died while it drew left a number and perhaps some values: they belong to no trial yet.
            trial = self._trial(undrawn) if undrawn else self._study.ask()
            drawn = suggest(self.space, OptunaDraw(trial))
        trial_id = trial_id or uuid.uuid4().hex[:8]
        trial.set_user_attr(ID, trial_id)  # last: a trial with an id is one that was drawn completely
        self._open[trial_id], self._reported[trial_id] = trial, set()
        return Suggestion(trial_id, trial.number, drawn)

    def report(self, trial_id: str, epoch: EpochRecord) -> None:
        """Note how a trial stands; kept for the sampler when there is one objective (Optuna allows it only then)."""
        trial, values = self._open.get(trial_id), self.goal.values(epoch.metrics)
        if trial is None or len(values) != 1 or not math.isfinite(values[0]):
            return
        if epoch.samples not in (reported := self._reported[trial_id]):
            trial.report(values[0], epoch.samples)
            reported.add(epoch.samples)

    def tell(self, record: TrialRecord) -> None:
        """Note how a trial ended; again, or while it can still be resumed, has no effect. Of one that is paused, the
        sampler sees what it has reached.

        Complete means converged or its budget spent, with the metrics of its best epoch. A trial whose objectives are
        missing or no numbers has failed, whatever it says of itself.
        """
        trial = self._open.get(record.trial_id)
        if trial is None or record.end in (End.RUNNING, End.INTERRUPTED):
            return
        best = record.best(self.goal)
        metrics = best.metrics if best else {}
        values = self.goal.values(metrics)
        missing = [o.metric for o, v in zip(self.goal.objectives, values, strict=True) if not math.isfinite(v)]
        if record.end is End.FAILED or (record.end.is_complete and missing):
            self._fail(trial, record.reason if record.end is End.FAILED else f"no number for {', '.join(missing)}")
        else:
            for metric in self.goal.unknown:  # of the defaults themselves, which nothing can be compared with yet
                trial.set_constraint(metric, 0.0)
            for metric, floor in self.goal.floors.items():
                value = metrics.get(metric, math.nan)
                trial.set_constraint(metric, floor - value if math.isfinite(value) else 1.0)
            samples = record.epochs[-1].samples if record.epochs else 0
            self._attributes(trial, end=record.end.value, reason=record.reason, samples=samples)
            if record.end in (End.PRUNED, End.PAUSED) and not missing:
                trial.set_user_attr(REACHED, list(values))
            if record.end is End.PAUSED:
                return  # samplers see it; it may continue
            with quiet():
                if record.end is End.PRUNED:
                    self._study.tell(trial, state=TrialState.PRUNED)
                else:
                    self._study.tell(trial, list(values))
        del self._open[record.trial_id], self._reported[record.trial_id]

    def running(self) -> tuple[Suggestion, ...]:
        """Trials that were handed out and whose end was never told: a driver that died left them."""
        trials = [t for t in self._in_state(TrialState.RUNNING) if ID in t.user_attrs]
        return tuple(Suggestion(t.user_attrs[ID], t.number, self.drawn(t)) for t in trials)

    def adopt(self, trial_id: str) -> Suggestion:
        """Take over a trial of an earlier run that continues now, under its id and number."""
        known = next((t for t in self._in_state(TrialState.RUNNING) if t.user_attrs.get(ID) == trial_id), None)
        assert known is not None, f"trial {trial_id} is not running"
        if trial_id not in self._open:
            self._open[trial_id], self._reported[trial_id] = self._trial(known), set(known.intermediate_values)
        if known.user_attrs.get(REACHED):
            self._open[trial_id].set_user_attr(REACHED, [])  # it is paused no more
        return Suggestion(trial_id, known.number, self.drawn(known))

    def wait_while(self, is_interrupted: Callable[[], bool]) -> None:
        """From now on wait for a server that is away, until the study ``is_interrupted``."""
        if isinstance(self._storage, Mirrored) and isinstance(self._storage.database, Patient):
            self._storage.database.is_interrupted = is_interrupted

    def close(self) -> None:
        """Let go of the database's file."""
        close(self._storage)

    def drawn(self, trial: FrozenTrial) -> dict[str, Value]:
        """What one of ``trials`` drew or was given, by path."""
        values = {**trial.params, **trial.user_attrs.get(GIVEN, {})}
        return {d.path: values[d.path] for d in self.space.search if d.path in values}

    @property
    def handed_out(self) -> int:
        """Trials handed out so far, over all runs of the study."""
        trials = self._study.get_trials(deepcopy=False)
        return sum(trial.state is not TrialState.WAITING for trial in trials)

    @property
    def trials(self) -> list[FrozenTrial]:
        """The trials as Optuna knows them, by number."""
        return self._study.get_trials(deepcopy=False)

    def _begin(
        self,
        start_from: Sequence[Mapping[str, Value]],
        learnt: Learnt,
        drawn: Sequence[Mapping[str, Value] | None],
    ) -> None:
        self._study.set_user_attr(DIGEST, self.space.digest)
        self._study.set_user_attr(SALT, learnt.salt)
        with quiet():
            self._study.set_metric_names([o.metric for o in self.goal.objectives])
        fixed = overlaid(self.space.fixed)
        given = (suggest(self.space, Given({**fixed, **flat})) for flat in start_from)
        early = (self.space.first(), *given, *(lesson.values for lesson in learnt.portfolio))
        again = (early[n] if values is None and n < len(early) else values or {} for n, values in enumerate(drawn))
        for values in (*again, *early[len(drawn) :]):
            # Optuna cannot hold a value outside its range; a baseline that was moved into it would be no baseline.
            inside = {k: v for k, v in values.items() if (d := self.space.dimension(k)) and d.contains(v)}
            outside = {k: v for k, v in values.items() if k not in inside}
            attributes = {GIVEN: outside, FIXED: sorted(inside)}
            self._study.enqueue_trial(inside, user_attrs={k: v for k, v in attributes.items() if v} or None)

    def _check_same_space(self, database: Database | None) -> None:
        if self._study.user_attrs.get(DIGEST) != self.space.digest:
            raise OtherSpace(
                f"the study in {database} was started with another search space, or other fixed settings, objectives "
                f"or floors; keep those, or give the new study a name of its own (--name)"
            )

    def _fail(self, trial: optuna.Trial, reason: str) -> None:
        self._attributes(trial, end=End.FAILED.value, reason=reason)
        with quiet():
            self._study.tell(trial, state=TrialState.FAIL)

    def _attributes(self, trial: optuna.Trial, **values: str | int) -> None:
        for key, value in values.items():
            trial.set_user_attr(key, value)

    def _in_state(self, state: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=(state,))

    def _trial(self, frozen: FrozenTrial) -> optuna.Trial:
        """The trial as one that continues: what ``Study.ask`` returned when it began."""
        with quiet():
            study = self._storage.get_study_id_from_name(self._study.study_name)
            return optuna.Trial(
                self._study, self._storage.get_trial_id_from_study_id_trial_number(study, frozen.number)
            )
