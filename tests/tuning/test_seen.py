"""What a sampler sees: pruned trials with the values they were on the way to, and a bounded number of trials."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.space import Dimension, Space
from raytune_planes.tuning import samplers
from raytune_planes.tuning.memory import rebuild
from raytune_planes.tuning.search import Search, Suggestion
from raytune_planes.tuning.seen import MOST, REACHED, Known, Seen, _bounded
from tests.tuning.test_searcher import FGVC, FLOORED, IOU, ONE, PLANES, TWO, a_hill, a_space, run

EARLY = {FGVC: 0.4, IOU: 0.3, PLANES: 0.8}


def cut(asked: Suggestion, metrics: Mapping[str, float] = EARLY) -> TrialRecord:
    """A trial that was pruned at its second epoch, which was its best."""
    worse = {name: value - 0.1 for name, value in metrics.items()}
    epochs = (EpochRecord(1, 1, 320, worse), EpochRecord(2, 2, 640, metrics))
    return TrialRecord(asked.trial_id, asked.number, asked.drawn, {}, epochs, End.PRUNED)


def seen(search: Search) -> list[FrozenTrial]:
    sampler = search._study.sampler
    assert isinstance(sampler, Seen)
    return sampler._view(search._study).get_trials(deepcopy=False)


def test_a_pruned_trial_of_two_objectives_is_seen_with_what_it_reached_and_stored_as_pruned() -> None:
    search = Search(a_space(TWO))
    asked = search.ask()
    assert asked is not None
    search.tell(cut(asked))
    assert search.ask() is not None
    trial, _ = seen(search)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.4, 0.3])
    assert trial.constraints == {PLANES: pytest.approx(0.1)}
    stored = search.trials[0]
    assert (stored.state, stored.values, stored.user_attrs[REACHED]) == (TrialState.PRUNED, None, [0.4, 0.3])


def test_tpe_draws_near_the_better_of_pruned_trials() -> None:
    """The worse ones come first: of equal ones, which they are without values, TPE takes the first as the good ones."""
    search = Search(a_space(TWO), seed=3, options={"n_startup_trials": 20})
    for number in range(20):
        asked = search.ask()
        assert asked is not None
        weight = float(str(asked.drawn["datasets.fgvc.weight"]))
        is_good = number >= 10 and weight > 2
        search.tell(cut(asked, {FGVC: weight if is_good else 0.0, IOU: weight if is_good else 0.0, PLANES: 0.95}))
    drawn = [search.ask() for _ in range(20)]
    assert sum(float(str(each.drawn["datasets.fgvc.weight"])) > 2 for each in drawn if each) >= 15


@pytest.mark.parametrize("goal", [ONE, FLOORED, TWO])
def test_paused_trials_teach_a_sampler_what_pruned_ones_do_also_after_its_database_is_lost(
    goal: Goal,
) -> None:
    drawn, records = [], []
    for end in (End.PRUNED, End.PAUSED):
        search = Search(a_space(goal), seed=3, options={"n_startup_trials": 4})
        records = []
        for number in range(8):
            asked = search.ask()
            assert asked is not None
            record = replace(cut(asked, EARLY | {FGVC: 0.1 * (number * 5 % 8), PLANES: 0.9}), end=end)
            for epoch in record.epochs:
                search.report(record.trial_id, epoch)
            search.tell(record)
            records.append(record)
        drawn.append(next_three(search))
    assert drawn[0] == drawn[1]
    again = rebuild(a_space(goal), None, records, seed=3, options={"n_startup_trials": 4})
    assert next_three(again) == drawn[1]


def next_three(search: Search) -> list[Mapping[str, object]]:
    return [asked.drawn for _ in range(3) if (asked := search.ask())]


def test_a_paused_trial_that_goes_on_is_seen_as_any_that_runs() -> None:
    search = Search(a_space(TWO))
    asked = search.ask()
    assert asked is not None
    search.tell(replace(cut(asked), end=End.PAUSED))
    assert search.running() == (asked,)
    assert search.ask() is not None
    assert [t.state for t in seen(search)] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert search.adopt(asked.trial_id) == asked
    assert search.ask() is not None
    assert [t.state for t in seen(search)] == [TrialState.RUNNING] * 3


def test_a_trial_that_was_pruned_before_it_had_values_stays_pruned() -> None:
    search = Search(a_space(TWO))
    asked = search.ask()
    assert asked is not None
    search.tell(cut(asked, {FGVC: math.nan, IOU: 0.3, PLANES: 0.8}))
    assert search.ask() is not None
    assert [t.state for t in seen(search)] == [TrialState.PRUNED, TrialState.RUNNING]


def test_with_one_objective_a_pruned_trial_stays_pruned_for_tpe() -> None:
    search = Search(a_space(FLOORED))
    asked = search.ask()
    assert asked is not None
    search.tell(cut(asked))
    assert search.ask() is not None
    assert [t.state for t in seen(search)] == [TrialState.PRUNED, TrialState.RUNNING]


def test_gaussian_processes_learn_from_pruned_trials() -> None:
    dimensions = (Dimension("optim.lr", "float", 1e-4, 1e-1, log=True), Dimension("optim.clip", "float", 0.0, 4.0))
    search = Search(Space("toy", "", ONE, {}, dimensions), sampler="gp", options={"n_startup_trials": 3})
    for _ in range(3):
        asked = search.ask()
        assert asked is not None
        search.tell(cut(asked, {FGVC: -abs(float(str(asked.drawn["optim.clip"])) - 3)}))
    assert search.ask() is not None
    assert search.trials[3].system_attrs  # drawn by the model: Optuna keeps what it draws relative to other trials


@pytest.mark.parametrize("goal", [ONE, FLOORED, TWO])
def test_tpe_suggests_what_optunas_own_suggests(goal: Goal, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = [asked.drawn for asked in run(Search(a_space(goal), seed=7), a_hill, 30)]
    monkeypatch.setattr(samplers, "_BUILDERS", {**samplers._BUILDERS, "tpe": TPESampler})
    assert mine == [asked.drawn for asked in run(Search(a_space(goal), seed=7), a_hill, 30)]


def test_of_too_many_trials_the_newest_and_the_best_are_seen() -> None:
    blank = create_trial(values=[0.0, 0.0], params={}, distributions={})
    trials = [Known(blank, 0.0, (0.0, 0.0)) for _ in range(MOST + 200)]
    trials[3] = replace(trials[3], values=(0.9, -1.0))  # the best of one objective
    trials[5] = replace(trials[5], values=(-1.0, 0.9))
    trials[7] = replace(trials[7], values=(1.0, 1.0), missed=0.1)  # misses a floor, as none of the others does
    kept = _bounded(trials)
    assert len(kept) == MOST
    assert [each is other for each, other in zip(kept[-MOST // 2 :], trials[-MOST // 2 :], strict=True)]
    assert trials[3] in kept
    assert trials[5] in kept
    assert trials[7] not in kept
    assert list(_bounded(trials[:MOST])) == trials[:MOST]
