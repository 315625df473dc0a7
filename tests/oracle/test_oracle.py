"""Resting lifts the worst dataset and rungs find as good a configuration for less, on curves that are known."""

from __future__ import annotations

import statistics

import pytest

from raytune_planes.records import Action, End, EpochRecord, Goal
from raytune_planes.settings import make_config
from tests.oracle.measures import GOALS, Plain, lift, plain, share_with_rungs
from tests.oracle.oracle import NATURES, World, _after

SEEDS = range(20)


def course(seed: int, **settings: object) -> list[tuple[EpochRecord, End | None]]:
    config = make_config({"budget.epochs": 40}, {k.replace("__", "."): v for k, v in settings.items()})
    return list(World(seed).train(config))


def test_at_equal_samples_giving_freed_steps_lifts_the_worst_dataset() -> None:
    lifts = [lift(seed, {}) for seed in SEEDS]
    assert sum(each.stop_and_go > each.none for each in lifts) >= 18
    assert statistics.median(each.stop_and_go - each.none for each in lifts) > 0.01


@pytest.fixture(scope="module", params=GOALS.values(), ids=GOALS)
def searched(request: pytest.FixtureRequest) -> tuple[Goal, list[Plain]]:
    """A goal, and what plain search comes to in each world: random, the same for all that is held against it."""
    return request.param, [plain(seed, request.param, sampler="random") for seed in SEEDS]


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_with_rungs_and_floors_half_of_plain_searchs_compute_is_enough(
    searched: tuple[Goal, list[Plain]], sampler: str
) -> None:
    """Plain search is random. Over plain TPE, TPE with rungs saves less: benchmarks/README."""
    goal, plainly = searched
    shares = [share_with_rungs(seed, goal, plainly[seed], sampler=sampler) for seed in SEEDS]
    assert statistics.median(shares) <= 0.5, shares


def test_a_skill_after_an_epoch_is_that_of_many_small_steps() -> None:
    skill, steps = 0.3, 100_000
    for _ in range(steps):
        skill += 2.0 / steps - 0.5 / steps * skill
    assert _after(0.3, 2.0, 0.5) == pytest.approx(skill, rel=1e-4)
    assert _after(0.3, 2.0, 0.0) == pytest.approx(2.3)


def test_training_one_dataset_delays_the_others() -> None:
    alone = course(0, datasets__fgvc__enabled=False, datasets__hrplanes__enabled=False, stopping__rule="none")
    shared = course(0, stopping__rule="none")
    steps = {id(e): e.metrics["test/planesnet/accuracy"] for e, _ in alone}
    assert max(steps.values()) > max(e.metrics["test/planesnet/accuracy"] for e, _ in shared)


def test_a_dataset_rests_sinks_and_wakes_by_the_rules_of_the_package() -> None:
    """With a small weight, what the others learn wears it down by more than its noise."""
    decisions = [
        d
        for e, _ in course(1, budget__epochs=60, stopping__trickle=0, datasets__planesnet__weight=0.1)
        for d in e.decisions
        if d.dataset == "planesnet"
    ]
    assert [d.action for d in decisions[:2]] == [Action.REST, Action.WAKE]


def test_a_trial_in_the_same_world_with_the_same_number_is_the_same() -> None:
    assert course(3) == course(3)
    assert course(3) != course(4)


def test_every_dataset_of_the_oracle_starts_near_chance_and_ends_below_its_ceiling() -> None:
    first, last = (course(2)[i][0].metrics for i in (0, -1))
    for name, nature in NATURES.items():
        key = next(k for k in last if k.startswith(f"test/{name}/"))
        assert nature.chance < first[key] < last[key] < nature.ceiling
