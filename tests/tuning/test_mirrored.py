"""A search reads its database once: its memory is what the database holds, and its decisions are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial
from sqlalchemy import event

from raytune_planes.records import EpochRecord, Goal
from raytune_planes.space import Dimension, Space
from raytune_planes.tuning.database import storage
from raytune_planes.tuning.mirrored import Mirrored
from raytune_planes.tuning.search import Search, Suggestion
from tests.tuning.test_memory import a_study
from tests.tuning.test_searcher import FGVC, ONE, TWO, a_hill, a_space, an_end


def crowded(search: Search, at_once: int, trials: int) -> list[Suggestion]:
    """Trials of which ``at_once`` run at any time, each with an epoch."""
    done, running = [], list[Suggestion]()
    for _ in range(trials):
        asked = search.ask()
        assert asked is not None
        search.report(asked.trial_id, EpochRecord(1, 5, 160, {FGVC: 0.1}))
        running.append(asked)
        done.append(asked)
        if len(running) > at_once:
            first = running.pop(0)
            search.tell(an_end(first, a_hill(first.drawn)))
    return done


def held(trial: FrozenTrial) -> dict[str, Any]:
    """All of a trial that decides anything."""
    names = (
        "number",
        "state",
        "values",
        "params",
        "distributions",
        "intermediate_values",
        "user_attrs",
        "system_attrs",
    )
    return {**{name: getattr(trial, name) for name in names}, "constraints": dict(trial.constraints)}


@pytest.mark.parametrize(("goal", "sampler"), [(ONE, "tpe"), (TWO, "tpe"), (TWO, "nsga2")])
def test_memory_holds_what_the_database_does(goal: Goal, sampler: str, tmp_path: Path) -> None:
    a_study(tmp_path / "o.db", goal, sampler)
    search = Search(a_space(goal), tmp_path / "o.db", sampler=sampler, seed=4)
    crowded(search, 3, 6)
    fresh = storage(tmp_path / "o.db")
    study = fresh.get_study_id_from_name("study")
    assert [held(t) for t in fresh.get_all_trials(study)] == [held(t) for t in search.trials]
    assert fresh.get_study_user_attrs(study) == search._study.user_attrs
    assert fresh.get_study_system_attrs(study) == {"study:metric_names": [o.metric for o in goal.objectives]}


def test_with_many_at_once_a_database_draws_as_memory_does(tmp_path: Path) -> None:
    there = crowded(Search(a_space(TWO), tmp_path / "o.db", seed=3), 12, 30)
    assert [a.drawn for a in there] == [a.drawn for a in crowded(Search(a_space(TWO), seed=3), 12, 30)]


def test_a_question_asks_the_database_no_more_where_more_trials_run(tmp_path: Path) -> None:
    space = Space("toy", "", ONE, {}, (Dimension("optim.lr", "float", 1e-4, 1e-1, log=True),))
    search, asked = Search(space, tmp_path / "o.db", seed=3), list[str]()
    assert isinstance(search._storage, Mirrored)
    assert isinstance(search._storage.database, RDBStorage)
    event.listen(search._storage.database.engine, "after_cursor_execute", lambda *told: asked.append(told[2]))
    counts = []
    for more in (3, 30):
        crowded(search, more, more)
        before = len(asked)
        search.ask()
        counts.append(len(asked) - before)
    assert counts[0] == counts[1] > 0
