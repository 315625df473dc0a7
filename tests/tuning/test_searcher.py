"""The search over Optuna, driven without Ray over functions that take no time; and its adapter for Ray Tune."""

from __future__ import annotations

import itertools
import logging
import math
import pickle
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.trial import TrialState

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.space import SAMPLERS, Dimension, RungSettings, Space, load_space, packaged, with_base
from raytune_planes.tuning.drawn import OptunaDraw
from raytune_planes.tuning.nodes import Node
from raytune_planes.tuning.pools import Needs, Pools
from raytune_planes.tuning.search import Search, Suggestion
from raytune_planes.tuning.searcher import TuneSearcher

FGVC, IOU, PLANES = "val/fgvc/accuracy", "val/hrplanes/iou", "val/planesnet/accuracy"
ONE = Goal((Objective(FGVC),))
FLOORED = Goal((Objective(FGVC),), {PLANES: 0.9})
TWO = Goal((Objective(FGVC), Objective(IOU)), {PLANES: 0.9})
Evaluate = Callable[[Mapping[str, Any]], dict[str, float]]


def a_space(goal: Goal = ONE, *extra: Dimension) -> Space:
    dimensions = (
        Dimension("optim.lr", "float", 1e-4, 1e-1, log=True),
        Dimension("datasets.fgvc.weight", "float", 0.0, 4.0),
        Dimension("stopping.rule", "choice", choices=("none", "stop")),
        Dimension("stopping.trickle", "int", 0, 8, when={"stopping.rule": ("stop",)}),
        *extra,
    )
    return Space("toy", "", goal, {}, dimensions)


def an_end(asked: Suggestion, metrics: Mapping[str, float], end: End = End.COMPLETED, reason: str = "") -> TrialRecord:
    return TrialRecord(asked.trial_id, asked.number, asked.drawn, {}, (EpochRecord(1, 10, 320, metrics),), end, reason)


def run(search: Search, evaluate: Evaluate, trials: int) -> list[Suggestion]:
    """Ask and tell one after the other."""
    done = []
    for _ in range(trials):
        asked = search.ask()
        assert asked is not None
        search.tell(an_end(asked, evaluate(asked.drawn)))
        done.append(asked)
    return done


def a_hill(drawn: Mapping[str, Any]) -> dict[str, float]:
    """Best at a learning rate of 0.01 and a weight of 3; what FGVC gains beyond a weight of 2, PlanesNet loses."""
    fgvc = 1 - 0.2 * abs(math.log10(drawn["optim.lr"]) + 2) - 0.2 * abs(drawn["datasets.fgvc.weight"] - 3)
    return {FGVC: fgvc, IOU: 0.5 - fgvc / 4, PLANES: 1.1 - 0.1 * drawn["datasets.fgvc.weight"]}


def test_the_defaults_are_trial_zero_and_given_configurations_come_next() -> None:
    space = a_space()
    search = Search(space, start_from=[{"optim.lr": 0.05, "stopping.rule": "stop", "stopping.trickle": 3}])
    first, second, third = run(search, a_hill, 3)
    assert (first.number, first.drawn) == (0, space.first())
    assert first.drawn == {"optim.lr": 0.002, "datasets.fgvc.weight": 1.0} | {"stopping.rule": "stop_and_go"}
    assert second.drawn == {
        "optim.lr": 0.05,
        "datasets.fgvc.weight": 1.0,
        "stopping.rule": "stop",
        "stopping.trickle": 3,
    }
    assert third.drawn["optim.lr"] not in (0.002, 0.05)


@pytest.mark.parametrize("name", packaged())
def test_both_ends_of_every_packaged_dimension_are_reachable(name: str) -> None:
    space = load_space(name)
    lows = {d.path: d.values()[0] for d in space.search}
    highs = {d.path: d.values()[-1] for d in space.search}
    for ends in (lows, highs):
        search = Search(with_base(space, ends))
        asked = search.ask()
        assert asked is not None
        assert asked.drawn == {path: ends[path] for path in asked.drawn}
        assert search.trials[0].params == asked.drawn  # Optuna holds them, none had to be given from outside
    drawn = [
        d
        for asked in itertools.islice(iter(Search(space, sampler="random").ask, None), 300)
        for d in asked.drawn.items()
    ]
    finite = [d for d in space.search if d.kind != "float" and not d.when]
    assert {(d.path, v) for d in finite for v in (d.values()[0], d.values()[-1])} <= set(drawn)


@pytest.mark.parametrize("goal", [ONE, FLOORED, TWO])
@pytest.mark.parametrize("sampler", [s for s in SAMPLERS if s != "gp"])
def test_what_every_sampler_draws_lies_in_the_space_and_follows_its_conditions(sampler: str, goal: Goal) -> None:
    space = a_space(goal)
    for asked in run(Search(space, sampler=sampler, seed=3), a_hill, 40)[1:]:
        assert all(
            d.contains(asked.drawn[d.path]) == d.is_drawn(asked.drawn) for d in space.search if d.path in asked.drawn
        )
        assert ("stopping.trickle" in asked.drawn) == (asked.drawn["stopping.rule"] == "stop")


def test_gaussian_processes_search_a_space_without_conditions() -> None:
    dimensions = (Dimension("optim.lr", "float", 1e-4, 1e-1, log=True), Dimension("optim.clip", "float", 0.0, 4.0))
    space = Space("toy", "", ONE, {}, dimensions)
    search = Search(space, sampler="gp", options={"n_startup_trials": 2})
    asked = run(search, lambda drawn: {FGVC: -abs(drawn["optim.clip"] - 3)}, 4)
    assert all(d.contains(a.drawn[d.path]) for a in asked for d in dimensions)


def test_gaussian_processes_refuse_conditions_and_defaults_outside_the_ranges() -> None:
    with pytest.raises(UserError, match=r"sampler gp needs every dimension .* stopping.trickle of search space toy"):
        Search(a_space(), sampler="gp")
    space = Space("toy", "", ONE, {}, (Dimension("optim.lr", "float", 0.1, 0.2),))
    with pytest.raises(UserError, match=r"sampler gp needs the defaults inside the ranges, but those of optim.lr"):
        Search(space, sampler="gp")


def test_an_unknown_sampler_is_told_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"no sampler 'tpee'; did you mean 'tpe'.*there are: tpe, random, nsga2, gp"):
        Search(a_space(), sampler="tpee")


def test_the_search_learns_over_hundreds_of_trials() -> None:
    found = run(Search(a_space(), seed=1), a_hill, 200)
    blind = run(Search(a_space(), sampler="random", seed=1), a_hill, 200)
    late = [a_hill(asked.drawn)[FGVC] for asked in found[150:]]
    assert sum(late) / 50 > sum(a_hill(asked.drawn)[FGVC] for asked in blind) / 200 + 0.15


def test_floors_turn_the_search_to_trials_that_keep_them() -> None:
    goal = Goal((Objective(FGVC),), {PLANES: 0.95})  # kept up to a weight of 1.5; the objective pulls to 3
    kept = [goal.feasible(a_hill(asked.drawn)) for asked in run(Search(a_space(goal), seed=2), a_hill, 120)]
    heedless = [goal.feasible(a_hill(asked.drawn)) for asked in run(Search(a_space(), seed=2), a_hill, 120)]
    assert sum(kept[60:]) > 40 > 10 > sum(heedless[60:])


def test_a_floor_is_a_constraint_that_is_positive_by_the_shortfall() -> None:
    search = Search(a_space(FLOORED))
    for metrics in ({FGVC: 0.5, PLANES: 0.8}, {FGVC: 0.5, PLANES: 0.95}, {FGVC: 0.5}):
        run(search, lambda _, metrics=metrics: metrics, 1)  # type: ignore[misc]
    assert [t.constraints[PLANES] for t in search.trials] == pytest.approx([0.1, -0.05, 1.0])


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (End.COMPLETED, TrialState.COMPLETE),
        (End.CONVERGED, TrialState.COMPLETE),
        (End.PRUNED, TrialState.PRUNED),
        (End.FAILED, TrialState.FAIL),
        (End.RUNNING, TrialState.RUNNING),
        (End.INTERRUPTED, TrialState.RUNNING),
    ],
)
@pytest.mark.parametrize("goal", [ONE, TWO])
def test_each_end_is_told_as_what_it_is(end: End, state: TrialState, goal: Goal) -> None:
    search = Search(a_space(goal))
    asked = search.ask()
    assert asked is not None
    search.tell(an_end(asked, {FGVC: 0.5, IOU: 0.4, PLANES: 0.95}, end, "because"))
    assert search.trials[0].state is state
    if state is TrialState.COMPLETE:
        assert search.trials[0].values == [0.5, 0.4][: len(goal.objectives)]
    if state.is_finished():
        assert search.trials[0].user_attrs["end"] == end.value
        assert search.trials[0].user_attrs["reason"] == "because"


@pytest.mark.parametrize("metrics", [{}, {FGVC: math.nan}, {FGVC: math.inf}, {IOU: 0.5}])
def test_a_complete_trial_without_a_number_for_an_objective_has_failed(metrics: dict[str, float]) -> None:
    search = Search(a_space())
    run(search, lambda _: metrics, 1)
    assert search.trials[0].state is TrialState.FAIL
    assert search.trials[0].user_attrs["reason"] == f"no number for {FGVC}"
    assert run(search, a_hill, 1)[0].number == 1


def test_a_trial_that_failed_before_its_first_epoch_is_told() -> None:
    search = Search(a_space())
    asked = search.ask()
    assert asked is not None
    search.tell(TrialRecord(asked.trial_id, 0, asked.drawn, {}, end=End.FAILED, reason="no memory"))
    assert search.trials[0].user_attrs["reason"] == "no memory"


def test_the_best_epoch_is_the_result_and_telling_again_changes_nothing() -> None:
    search = Search(a_space())
    asked = search.ask()
    assert asked is not None
    epochs = tuple(EpochRecord(i, i, i * 320, {FGVC: value}) for i, value in enumerate((0.2, 0.6, 0.4), start=1))
    search.tell(TrialRecord(asked.trial_id, 0, asked.drawn, {}, epochs, End.COMPLETED))
    search.tell(an_end(asked, {FGVC: 0.9}, End.FAILED))
    assert search.trials[0].value == 0.6
    assert search.trials[0].user_attrs["samples"] == 960


def test_a_pruned_trial_keeps_its_last_value() -> None:
    search = Search(a_space())
    asked = search.ask()
    assert asked is not None
    for i, value in enumerate((0.1, 0.3), start=1):
        search.report(asked.trial_id, EpochRecord(i, i, i * 320, {FGVC: value}))
    search.report(asked.trial_id, EpochRecord(3, 3, 960, {FGVC: math.nan}))
    search.report("somebody else", EpochRecord(1, 1, 320, {FGVC: 1.0}))
    search.tell(an_end(asked, {FGVC: 0.3}, End.PRUNED))
    assert search.trials[0].intermediate_values == {320: 0.1, 640: 0.3}
    assert search.trials[0].value == 0.3


def test_the_limit_counts_trials_over_all_runs(tmp_path: Path) -> None:
    run(Search(a_space(), tmp_path / "o.db", limit=3), a_hill, 2)
    again = Search(a_space(), tmp_path / "o.db", limit=3)
    run(again, a_hill, 1)
    assert again.ask() is None


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), sampler=st.sampled_from(["tpe", "random", "nsga2"]))
def test_the_same_seed_asks_the_same(seed: int, sampler: str) -> None:
    one, other = (run(Search(a_space(TWO), sampler=sampler, seed=seed), a_hill, 25) for _ in range(2))
    assert [a.drawn for a in one] == [a.drawn for a in other]
    assert [a.drawn for a in one] != [
        a.drawn for a in run(Search(a_space(TWO), sampler=sampler, seed=seed + 1), a_hill, 25)
    ]


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_resumed_study_asks_what_an_uninterrupted_one_would(tmp_path: Path, sampler: str) -> None:
    whole = run(Search(a_space(TWO), sampler=sampler, seed=5), a_hill, 24)
    parts = [
        run(Search(a_space(TWO), tmp_path / "o.db", sampler=sampler, seed=5), a_hill, trials) for trials in (7, 9, 8)
    ]
    assert [a.drawn for part in parts for a in part] == [a.drawn for a in whole]
    assert [a.number for part in parts for a in part] == list(range(24))


def test_trials_of_a_dead_driver_are_adopted(tmp_path: Path) -> None:
    dead = Search(a_space(TWO), tmp_path / "o.db")
    left = [dead.ask(f"trial{i}") for i in range(3)]
    search = Search(a_space(TWO), tmp_path / "o.db")
    assert search.running() == tuple(left)
    assert search.adopt("trial1") == left[1]
    assert left[1] is not None
    search.tell(an_end(left[1], {FGVC: 0.5, IOU: 0.4, PLANES: 0.95}, End.CONVERGED))
    assert search.trials[1].values == [0.5, 0.4]
    assert search.trials[1].constraints[PLANES] == pytest.approx(-0.05)
    assert search.running() == (left[0], left[2])


@pytest.mark.parametrize(("at", "drawn"), [("real", 0), ("real", 1), ("choice", 0)])
@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2"])
def test_a_trial_whose_driver_died_drawing_it_is_drawn_as_if_nothing_had_happened(
    tmp_path: Path, sampler: str, at: str, drawn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(Search(a_space(TWO), sampler=sampler, seed=5), a_hill, 16)
    parts = []
    real = getattr(OptunaDraw, at)
    for trial in range(16):
        left = iter(range(drawn))

        def dies(self: object, *given: object, left: Iterator[int] = left) -> object:
            next(left)
            return real(self, *given)

        monkeypatch.setattr(OptunaDraw, at, dies)
        search = Search(a_space(TWO), tmp_path / "o.db", sampler=sampler, seed=5, limit=16)
        with pytest.raises(StopIteration):
            search.ask(f"dead{trial}")
        monkeypatch.undo()
        parts += run(Search(a_space(TWO), tmp_path / "o.db", sampler=sampler, seed=5, limit=16), a_hill, 1)
    assert [a.drawn for a in parts] == [a.drawn for a in whole]
    assert [a.number for a in parts] == list(range(16))


def test_a_database_of_another_space_is_refused(tmp_path: Path) -> None:
    run(Search(a_space(), tmp_path / "o.db"), a_hill, 1)
    with pytest.raises(UserError, match=r"o.db was started with another search space.*--name"):
        Search(a_space(FLOORED), tmp_path / "o.db")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.db").write_text("hello " * 1000)
    with pytest.raises(UserError, match="cannot be opened as the database of a study: file is not a database"):
        Search(a_space(), tmp_path / "o.db")


def test_others_read_the_database_while_the_search_writes(tmp_path: Path) -> None:
    """What optuna-dashboard does."""
    database = tmp_path / "o.db"
    search = Search(a_space(), database, name="live")
    reader = sqlite3.connect(database)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM trials").fetchone()  # holds a read transaction open
    run(search, a_hill, 2)
    reader.close()
    study = optuna.load_study(study_name="live", storage=f"sqlite:///{database}")
    assert [t.state for t in study.trials] == [TrialState.COMPLETE] * 2
    assert study.metric_names == [FGVC]


def test_optuna_says_nothing_and_keeps_its_own_verbosity(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity(), logging.getLogger("alembic").level
    run(Search(a_space(TWO), tmp_path / "o.db"), a_hill, 3)
    assert capfd.readouterr() == ("", "")
    assert (optuna.logging.get_verbosity(), logging.getLogger("alembic").level) == before


def three_places() -> Pools:
    return Pools(Needs(), lambda: [Node(3, 0)])


def test_tune_gets_resumed_trials_first_then_new_ones_then_the_end(tmp_path: Path) -> None:
    dead = Search(a_space(), tmp_path / "o.db")
    left = dead.ask("first")
    assert left is not None
    search = Search(a_space(), tmp_path / "o.db", limit=2)
    searcher = TuneSearcher(search, three_places(), resume=search.running())
    pool = {"name": "cpu", "gpus": 0.0, "card": False, "nccl": False, "labels": {}}
    assert searcher.suggest("tune1") == {
        "trial_id": "first",
        "number": 0,
        "drawn": left.drawn,
        "pool": pool,
        "floors": {},
        "turn": 1,
    }
    second = searcher.suggest("tune2")
    assert isinstance(second, dict)
    assert (second["trial_id"], second["number"]) == ("tune2", 1)
    assert searcher.suggest("tune3") == TuneSearcher.FINISHED


def test_tune_waits_until_a_host_has_a_place() -> None:
    searcher = TuneSearcher(Search(a_space(), limit=4), three_places())
    for trial in ("tune1", "tune2", "tune3"):
        assert isinstance(searcher.suggest(trial), dict)
    assert searcher.suggest("tune4") is None
    searcher.on_trial_complete("tune2", error=True)
    assert isinstance(searcher.suggest("tune4"), dict)


def test_every_trial_but_the_first_waits_until_it_may_start_and_is_told_the_floors() -> None:
    known = False
    search = Search(a_space(FLOORED), limit=3)
    searcher = TuneSearcher(search, three_places(), may_start=lambda: known)
    first = searcher.suggest("tune1")
    assert isinstance(first, dict)
    assert first["number"] == 0
    assert searcher.suggest("tune2") is None
    search.goal = Goal(FLOORED.objectives, {PLANES: 0.8})
    known = True
    second = searcher.suggest("tune2")
    assert isinstance(second, dict)
    assert (second["number"], second["floors"]) == (1, {PLANES: 0.8})


def test_tune_hears_of_the_end_while_a_trial_runs_unless_one_that_runs_may_pause() -> None:
    """Until it hears of the end, Tune keeps a free process waiting for a trial that does not come."""
    plain = TuneSearcher(Search(a_space(), limit=1), three_places())
    plain.suggest("tune1")
    assert plain.suggest("tune2") == TuneSearcher.FINISHED

    asked: list[bool] = []
    pausing = TuneSearcher(Search(a_space(), limit=1), three_places(), promoted=lambda is_last: asked.append(is_last))
    pausing.suggest("tune1")
    assert pausing.suggest("tune2") is None
    assert asked == [False, False, True]
    pausing.on_trial_complete("tune1")
    assert pausing.suggest("tune3") == TuneSearcher.FINISHED

    assert RungSettings(rule="promote").promotes
    assert not RungSettings().promotes
    assert not RungSettings(rule="promote", enabled=False).promotes


def test_tune_gets_no_more_trials_once_the_study_is_finished() -> None:
    searcher = TuneSearcher(Search(a_space()), three_places())
    assert searcher.suggest("tune1") != TuneSearcher.FINISHED
    searcher.on_trial_complete("tune1", {"anything": 1.0})
    assert searcher.search is not None
    assert searcher.search.trials[0].state is TrialState.RUNNING  # only a record tells how it ended
    searcher.finish()
    assert searcher.suggest("tune2") == TuneSearcher.FINISHED


def test_without_time_for_new_trials_those_of_an_earlier_run_and_paused_ones_continue(tmp_path: Path) -> None:
    dead = Search(a_space(), tmp_path / "o.db")
    assert dead.ask("left")
    assert dead.ask("paused")
    search = Search(a_space(), tmp_path / "o.db", limit=9)
    left, _ = search.running()
    asked: list[bool] = []

    def promoted(is_last: bool) -> str | None:
        asked.append(is_last)
        return "paused" if asked == [False, True] else None

    searcher = TuneSearcher(search, three_places(), resume=[left], promoted=promoted)
    assert searcher.begin_no_more()
    ids = [found["trial_id"] for name in ("tune1", "tune2") if isinstance(found := searcher.suggest(name), dict)]
    assert ids == ["left", "paused"]
    searcher.on_trial_complete("tune1")
    searcher.on_trial_complete("tune2")
    assert searcher.suggest("tune3") == TuneSearcher.FINISHED
    assert search.handed_out == 2
    assert not searcher.begin_no_more()  # none was due any more


def test_tune_can_save_and_pickle_the_searcher(tmp_path: Path) -> None:
    searcher = TuneSearcher(Search(a_space(), tmp_path / "o.db"), three_places())
    searcher.save_to_dir(str(tmp_path))
    searcher.restore_from_dir(str(tmp_path))
    assert pickle.loads(pickle.dumps(searcher)).search is None
    assert searcher.suggest("tune1") != TuneSearcher.FINISHED
