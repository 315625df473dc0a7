"""What was learnt in the search: its order, its memory, its rungs; and a study that learnt nothing draws as ever."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from raytune_planes.learning import learn
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.space import suggest
from raytune_planes.tracking.learnt import NOTHING, Learnt, Lesson
from raytune_planes.tuning.drawn import OptunaDraw
from raytune_planes.tuning.memory import rebuild
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.samplers import build, quiet
from raytune_planes.tuning.search import Search
from tests.learning.past import FGVC, ONE, a_space, a_study, present

PORTFOLIO = (
    Lesson("old", 7, {"optim.lr": 0.01, "datasets.fgvc.weight": 3.0, "stopping.rule": "none"}),
    Lesson("older", 3, {"optim.lr": 0.02, "stopping.rule": "stop", "stopping.trickle": 4}),
)


def drawn(search: Search, count: int) -> list[dict[str, object]]:
    """What ``count`` trials draw, each of which ends with a figure of its own."""
    values = []
    for _ in range(count):
        asked = search.ask()
        assert asked is not None
        epoch = EpochRecord(1, 10, 320, {FGVC: asked.number / 100})
        search.tell(TrialRecord(asked.trial_id, asked.number, asked.drawn, {}, (epoch,), End.COMPLETED))
        values.append(dict(asked.drawn))
    return values


def test_the_portfolio_follows_the_defaults_and_given_ones_and_what_it_lacks_is_drawn() -> None:
    space = a_space()
    search = Search(space, start_from=[{"optim.lr": 0.05}], learnt=Learnt(portfolio=PORTFOLIO, first=2))
    defaults, given, one, two, _ = drawn(search, 5)
    assert defaults == space.first()
    assert given["optim.lr"] == 0.05
    assert one == PORTFOLIO[0].values
    assert {k: two[k] for k in PORTFOLIO[1].values} == PORTFOLIO[1].values
    assert 0.0 <= float(str(two["datasets.fgvc.weight"])) <= 4.0


def by_hand(sampler: str, seed: int, count: int) -> list[dict[str, object]]:
    """What Optuna itself draws, asked once a trial with a sampler of that turn: the defaults, then its own choice."""
    space, values = a_space(), []
    first = space.first()
    inside = {d.path: first[d.path] for d in space.search if d.path in first and d.contains(first[d.path])}
    outside = {path: value for path, value in first.items() if path not in inside}
    with quiet():
        study = optuna.create_study(direction="maximize")
        study.enqueue_trial(inside, user_attrs={"given": outside, "fixed": sorted(inside)})
        for turn in range(count):
            study.sampler = build(sampler, seed, turn)
            trial = study.ask()
            values.append(dict(suggest(space, OptunaDraw(trial))))
            study.tell(trial, turn / 100)
    return values


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_study_that_no_earlier_one_resembles_draws_bit_for_bit_what_it_drew_before(sampler: str) -> None:
    learnt, notes = learn(present(), [a_study(plan="a, b")])
    assert notes
    assert drawn(Search(a_space(), sampler=sampler, seed=3, learnt=learnt), 25) == by_hand(sampler, 3, 25)


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_study_that_learnt_from_one_with_the_same_seed_draws_none_of_its_trials_again(sampler: str) -> None:
    cold = drawn(Search(a_space(), sampler=sampler, seed=3), 9)
    learnt = Learnt(portfolio=(Lesson("cold", 6, cold[6]),))
    mine = drawn(Search(a_space(), sampler=sampler, seed=3, learnt=learnt), 9)
    assert mine[:2] == [cold[0], cold[6]]
    assert [values for values in mine[2:] if values in cold] == []


def test_a_resumed_search_and_one_made_again_from_the_records_go_on_with_the_portfolio(tmp_path: Path) -> None:
    learnt = Learnt(portfolio=PORTFOLIO)
    whole = drawn(Search(a_space(), seed=5, learnt=learnt), 16)

    resumed = Search(a_space(), tmp_path / "o.db", seed=5, learnt=learnt)
    first = drawn(resumed, 2)
    resumed.close()
    assert first + drawn(Search(a_space(), tmp_path / "o.db", seed=5, learnt=NOTHING), 14) == whole

    records = [
        TrialRecord(f"t{n}", n, values, {}, (EpochRecord(1, 10, 320, {FGVC: n / 100}),), End.COMPLETED)
        for n, values in enumerate(whole[:2])
    ]
    records = [replace(t, started_ms=10 * t.number, ended_ms=10 * t.number + 5) for t in records]
    assert [*whole[:2], *drawn(rebuild(a_space(), None, records, seed=5, learnt=learnt), 14)] == whole


def test_no_trial_of_the_portfolio_is_pruned_before_a_second_rung() -> None:
    def stops(spared: range) -> list[tuple[int, int]]:
        """Trials 0 to 8, each worse than the one before it, over three epochs: (number, samples) of each stop."""
        rungs = Rungs(Goal(ONE.objectives), 10, 3, budget=90, spared=spared)
        stopped = []
        for number in range(9):
            for samples in (10, 30, 60):
                epoch = EpochRecord(samples // 10, samples, samples, {FGVC: 0.9 - number / 10})
                if rungs.judge(number, epoch).stop:
                    stopped.append((number, samples))
                    break
        return stopped

    assert (4, 10) in stops(range(0))
    spared = stops(range(4, 6))
    assert [samples for number, samples in spared if number in (4, 5)] == [30, 30]
    assert [samples for number, samples in spared if number > 5] == [10, 10, 10]
