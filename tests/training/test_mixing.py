"""The steps of an epoch follow the shares, whatever the datasets' sizes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from raytune_planes import config
from raytune_planes.training.mixing import Mixer
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.toy import toy_config, toy_data, toy_prompts

SIZES = {"a": 9000, "b": 60, "c": 1000}
shares = st.fixed_dictionaries({name: st.floats(0, 10) for name in SIZES})
resting_sets = st.sets(st.sampled_from(sorted(SIZES))).map(lambda s: tuple(sorted(s)))


def mixer(
    wanted: dict[str, float] | None = None,
    rule: str = "share",
    stopping: str = "stop_and_go",
    freed: str = "given",
    trickle: int = 4,
    **mixing: object,
) -> Mixer:
    return Mixer(
        config.Mixing(rule=rule, **mixing),
        config.Stopping(rule=stopping, freed=freed, trickle=trickle),
        wanted or dict.fromkeys(SIZES, 1.0),
        SIZES,
    )


def test_steps_follow_shares_and_not_sizes() -> None:
    assert Counter(mixer({"a": 1, "b": 1, "c": 2}).epoch(40)) == {"a": 10, "b": 10, "c": 20}


def test_datasets_are_interleaved() -> None:
    assert mixer({"a": 2, "b": 0, "c": 1}).epoch(6) == ("a", "c", "a", "a", "c", "a")


def test_a_resting_dataset_gets_no_steps() -> None:
    order = mixer(stopping="stop").epoch(30, ("a",))
    assert Counter(order) == {"b": 15, "c": 15}


def test_saved_steps_shorten_the_epoch() -> None:
    assert Counter(mixer(stopping="stop", freed="saved").epoch(30, ("a",))) == {"b": 10, "c": 10}


def test_a_resting_dataset_keeps_a_trickle_under_stop_and_go() -> None:
    assert Counter(mixer(trickle=5).epoch(30, ("a",))) == {"a": 2, "b": 14, "c": 14}


def test_a_trickle_too_small_for_one_epoch_comes_in_a_later_one() -> None:
    mix = mixer(trickle=4)
    assert sum(Counter(mix.epoch(3, ("a",)))["a"] for _ in range(12)) == 3


def test_temperature_one_follows_the_sizes_and_a_high_one_evens_them_out() -> None:
    by_size = mixer(rule="temperature", temperature=1).shares()
    assert by_size["a"] == pytest.approx(9000 / 10060)
    even = mixer(rule="temperature", temperature=100).shares()
    assert max(even.values()) - min(even.values()) < 0.03
    square_root = mixer(rule="temperature", temperature=2).shares()
    assert square_root["a"] / square_root["c"] == pytest.approx(3.0)


def test_temperature_counts_the_images_that_a_limit_leaves() -> None:
    """Of the toy data's 32 training images each, planesnet keeps a quarter: at T = 1 it gets 8 of 72 steps."""
    settings = {"mixing__rule": "temperature", "mixing__temperature": 1.0, "datasets__planesnet__limit": 8}
    trainer = Trainer(toy_config(**settings), toy_data(), toy_prompts(), LocalWorker())
    assert Counter(trainer.mixer.epoch(72)) == {"planesnet": 8, "hrplanes": 32, "fgvc": 32}


def test_gain_moves_steps_to_the_dataset_that_improves_most_per_step() -> None:
    mix = mixer(rule="gain", explore=0.3)
    for value in (0.1, 0.2, 0.3):
        mix.learn({"a": 0.9, "b": value, "c": 0.5}, {"a": 10, "b": 10, "c": 10})
    got = mix.shares()
    assert got["b"] > 0.6
    assert got["a"] == pytest.approx(got["c"])
    assert got["a"] > 0.1


def test_gain_counts_improvement_per_step() -> None:
    mix = mixer(rule="gain")
    mix.learn({"a": 0.0, "b": 0.0, "c": 0.0}, {"a": 10, "b": 10, "c": 10})
    mix.learn({"a": 0.1, "b": 0.1, "c": 0.0}, {"a": 20, "b": 10, "c": 10})
    assert mix.shares()["b"] > mix.shares()["a"] > mix.shares()["c"]


@given(shares, resting_sets, st.sampled_from(["none", "stop", "stop_and_go"]))
def test_given_shares_sum_to_one_and_steps_stay_constant(
    wanted: dict[str, float], resting: tuple[str, ...], rule: str
) -> None:
    assume(sum(wanted[d] for d in wanted if d not in resting) > 1e-6)
    mix = mixer(wanted, stopping=rule)
    assert sum(mix.shares(resting).values()) == pytest.approx(1.0)
    for _ in range(3):
        assert len(mix.epoch(17, resting)) == 17


@given(shares, resting_sets)
def test_saved_shares_never_exceed_one(wanted: dict[str, float], resting: tuple[str, ...]) -> None:
    assume(sum(wanted.values()) > 1e-6)
    mix = mixer(wanted, freed="saved")
    assert sum(mix.shares(resting).values()) <= 1 + 1e-9
    assert len(mix.epoch(17, resting)) <= 17


@given(shares)
def test_every_worker_gets_the_same_order(wanted: dict[str, float]) -> None:
    assume(sum(wanted.values()) > 1e-6)
    one, two = mixer(wanted), mixer(wanted)
    for _ in range(3):
        assert one.epoch(23) == two.epoch(23)


@given(shares, st.integers(1, 4))
def test_a_resumed_mixer_goes_on_as_the_uninterrupted_one(wanted: dict[str, float], cut: int) -> None:
    assume(sum(wanted.values()) > 1e-6)
    whole, first = mixer(wanted, rule="gain"), mixer(wanted, rule="gain")
    for epoch in range(6):
        if epoch == cut:
            second = mixer(wanted, rule="gain")
            second.load_state_dict(first.state_dict())
            first = second
        assert whole.epoch(11) == first.epoch(11)
        values = {"a": 0.1 * epoch, "b": 0.05 * epoch**1.5, "c": 0.3}
        whole.learn(values, dict.fromkeys(values, 4))
        first.learn(values, dict.fromkeys(values, 4))


@given(shares)
def test_over_many_epochs_each_dataset_gets_its_share(wanted: dict[str, float]) -> None:
    assume(sum(wanted.values()) > 1e-6)
    mix = mixer(wanted)
    counts: Counter[str] = Counter()
    for _ in range(50):
        counts.update(mix.epoch(10))
    for name, share in mix.shares().items():
        assert abs(counts[name] - 500 * share) <= 1.5
