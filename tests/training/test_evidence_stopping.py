"""By evidence a dataset rests where that costs it little, and less than its steps bring the others."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes import config
from raytune_planes.records import Action, Decision
from raytune_planes.training.evidence_stopping import FALSE_WAKES, EvidenceStopping
from raytune_planes.training.mixing import Mixer

MANY = 1e12
"""Pictures that leave no noise."""
SOON = {"patience": 3, "min_epochs": 1, "min_delta": 0.01, "margin": 0.01}
Curve = Callable[[int], float]


def stopping_of(
    rule: str, names: Sequence[str], epochs: int, *, freed: str = "given", trickle: int = 0, **stop: object
) -> EvidenceStopping:
    mixer = Mixer(
        config.Mixing(), config.Stopping(rule=rule, freed=freed, trickle=trickle), dict.fromkeys(names, 1.0), {}
    )
    stops = {name: config.Stop(**{**SOON, **stop}) for name in names}
    return EvidenceStopping(rule, stops, {n: f"val/{n}/accuracy" for n in names}, epochs, mixer.shares)


def seen(values: Mapping[str, float], pictures: float = MANY) -> dict[str, float]:
    return {f"val/{n}/accuracy": v for n, v in values.items()} | {f"val/{n}/images": pictures for n in values}


def decide(
    rule: str, epochs: int, pictures: float = MANY, floor: float = 0.0, *, of: Mapping[str, Curve], **more: object
) -> list[Decision]:
    """Every decision on these curves; ``floor`` is that of dataset a."""
    stopping = stopping_of(rule, tuple(of), epochs, **more)
    return [
        decision
        for epoch in range(1, epochs + 1)
        for decision in stopping.update(
            epoch, seen({n: curve(epoch) for n, curve in of.items()}, pictures), {"val/a/accuracy": floor}
        )
    ]


def told(decisions: Sequence[Decision]) -> list[tuple[int, str, str]]:
    return [(d.epoch, d.dataset, str(d.action)) for d in decisions]


def level(value: float) -> Curve:
    return lambda epoch: value


def doubling(start: float, gain: float) -> Curve:
    """Gains as much with each doubling of the training."""
    return lambda epoch: start + gain * math.log2(epoch)


def given_list(*values: float) -> Curve:
    return lambda epoch: values[min(epoch, len(values)) - 1]


def test_a_flat_dataset_rests_for_one_that_rises() -> None:
    assert told(decide("stop", 12, of={"a": level(0.5), "b": doubling(0.2, 0.1)})) == [(4, "a", "rest")]


def test_a_dataset_trains_on_where_its_rest_costs_it_min_delta() -> None:
    """It gains 0.01 for a doubling, and from epoch 8 to the last of 16 as much."""
    of = {"a": doubling(0.5, 0.01), "b": doubling(0.2, 0.1)}
    assert told(decide("stop", 16, of=of, min_delta=0.0101))[0] == (8, "a", "rest")
    assert told(decide("stop", 16, of=of, min_delta=0.0099))[0] == (9, "a", "rest")


def test_a_trickle_makes_rest_cheaper() -> None:
    """At epoch 7 of 16 rest costs 0.01 x log2(16 / 7) = 0.0119; one in four of its steps still brings 0.004."""
    of = {"a": doubling(0.5, 0.01), "b": doubling(0.2, 0.1)}
    cost = 0.01 * (math.log2(16 / 7) - math.log2((7 + 9 / 4) / 7))
    assert told(decide("stop_and_go", 16, of=of, trickle=4, min_delta=cost + 1e-5))[0] == (7, "a", "rest")
    assert told(decide("stop_and_go", 16, of=of, trickle=4, min_delta=cost - 1e-5))[0] == (8, "a", "rest")


def test_a_dataset_trains_on_where_its_steps_bring_the_others_less_than_it_loses() -> None:
    """From epoch 5 of 10 rest costs a 0.008, and lets b train as if for 15: 0.585 of its gain for a doubling."""
    of = {"a": doubling(0.5, 0.008), "b": doubling(0.3, 0.0085)}
    assert decide("stop", 10, of=of, min_epochs=0.5) == []
    rest = decide("stop", 10, of=of | {"b": doubling(0.3, 0.014)}, min_epochs=0.5)[0]
    assert (rest.epoch, rest.dataset) == (5, "a")
    assert rest.reason == (
        "rest costs it 0.008 at most (90 % limit by its last 4 epochs, mean 0.5138), less than 0.01; "
        "its steps bring the others 0.0082"
    )


def test_where_steps_are_saved_only_the_cost_counts() -> None:
    of = {"a": doubling(0.5, 0.002), "b": level(0.3)}
    assert told(decide("stop", 10, of=of, freed="saved", min_epochs=0.5)) == [(5, "b", "rest"), (6, "a", "rest")]


def test_the_last_dataset_in_training_rests_as_its_steps_go_to_nobody() -> None:
    assert told(decide("stop", 12, of={"a": level(0.5)})) == [(4, "a", "rest")]


def test_one_dataset_rests_after_an_epoch_at_most_and_the_one_whose_rest_brings_most_is_first() -> None:
    of = {"a": doubling(0.5, 0.002), "b": level(0.5), "c": doubling(0.2, 0.1)}
    assert told(decide("stop", 12, of=of))[:2] == [(4, "b", "rest"), (5, "a", "rest")]


def test_noise_of_a_small_split_keeps_a_flat_dataset_in_training() -> None:
    of = {"a": level(0.5), "b": doubling(0.2, 0.1)}
    assert told(decide("stop", 12, 1e6, of=of)) == [(4, "a", "rest")]
    assert told(decide("stop", 12, 500, of=of)) == [(11, "a", "rest")]
    assert told(decide("stop", 12, 500, of=of, confidence=0.5)) == [(4, "a", "rest")]


def test_nothing_rests_before_its_minimum_or_after_the_last_epoch() -> None:
    of = {"a": level(0.5), "b": doubling(0.2, 0.1)}
    assert told(decide("stop", 12, of=of, min_epochs=0.5)) == [(6, "a", "rest")]
    assert told(decide("stop", 12, of=of, min_epochs=12)) == []


def test_a_relative_min_delta_is_a_share_of_the_level() -> None:
    of = {"a": doubling(0.1, 0.01), "b": doubling(0.2, 0.1)}
    assert told(decide("stop", 16, of=of, min_delta=0.0101, relative=True))[0][0] > 12
    assert told(decide("stop", 16, of=of, min_delta=0.0101))[0] == (8, "a", "rest")


def test_rule_none_never_decides() -> None:
    assert decide("none", 12, of={"a": level(0.5), "b": level(0.5)}) == []


@pytest.mark.parametrize("rule", ["stop", "stop_and_go"])
def test_a_dataset_at_its_target_rests_at_once_and_does_not_wake_for_others_that_stall(rule: str) -> None:
    of = {"a": level(0.9), "b": level(0.5)}
    assert told(decide(rule, 12, of=of, target=0.8))[0] == (1, "a", "rest")
    assert all(d.dataset != "a" for d in decide(rule, 12, of=of, target=0.8)[1:])


@pytest.mark.parametrize("rule", ["stop", "stop_and_go"])
def test_a_dataset_below_its_floor_neither_rests_nor_remains_at_rest(rule: str) -> None:
    of = {"a": given_list(*[0.5] * 6, 0.4), "b": doubling(0.2, 0.1)}
    assert told(decide(rule, 20, floor=0.45, of=of)) == [(4, "a", "rest"), (7, "a", "wake")]
    assert told(decide(rule, 20, floor=0.6, of={"a": level(0.5), "b": doubling(0.2, 0.1)})) == []


def test_a_resting_dataset_wakes_as_soon_as_it_falls_by_more_than_margin_and_noise() -> None:
    of = {"a": given_list(*[0.5] * 5, 0.496, 0.49), "b": doubling(0.2, 0.1)}
    rest, wake, *_ = decide("stop_and_go", 20, of=of)
    assert (rest.epoch, wake.epoch, wake.action) == (4, 7, Action.WAKE)
    assert wake.reason.startswith("fell to 0.49, from 0.5 at rest: by more than its margin of 0.005")
    assert all(d.action is Action.REST for d in decide("stop", 20, of=of))


def test_a_resting_dataset_that_rises_wakes() -> None:
    of = {"a": given_list(*[0.5] * 5, 0.52), "b": doubling(0.2, 0.1)}
    rest, wake, *_ = decide("stop_and_go", 20, of=of)
    assert (rest.epoch, wake.epoch) == (4, 6)
    assert wake.reason.startswith("rose to 0.52")


def test_a_resting_dataset_wakes_where_the_others_have_stalled() -> None:
    """b rises until epoch 8 and then stays: what a may still gain, little as it is, is now worth more."""
    of = {"a": doubling(0.5, 0.002), "b": given_list(*(0.2 + 0.1 * math.log2(e) for e in range(1, 9)))}
    rest, wake, *_ = decide("stop_and_go", 30, of=of, trickle=4)
    assert (rest.epoch, rest.dataset, wake.dataset, wake.action) == (4, "a", "a", Action.WAKE)
    assert wake.epoch == 11  # by then the last four values of b are equal
    assert wake.reason.startswith("the others have stalled: its steps bring them 0, and would bring it up to 0.00")


def test_of_a_flat_dataset_and_a_rising_one_6_and_600_epochs_decide_at_the_same_part() -> None:
    for epochs in (6, 12, 60, 600):
        of = {"a": level(0.5), "b": doubling(0.2, 0.5 / math.log2(epochs))}
        at, name, _ = told(decide("stop", epochs, of=of, patience=0.25, min_epochs=0.5))[0]
        assert name == "a"
        assert 0.5 <= at / epochs <= 4 / 6


@given(st.integers(5, 60), st.floats(0.01, 0.5), st.floats(10, 1e6), st.sampled_from([0.2, 0.33, 3]))
def test_no_dataset_rests_while_it_gains_what_counts(
    epochs: int, rise: float, pictures: float, patience: float
) -> None:
    """By as much for each doubling, as curves of learning do at best; ``rise`` is from the first epoch to the last."""
    mine, others = doubling(0.3, rise / math.log2(epochs)), doubling(0.2, 0.5 / math.log2(epochs))
    for d in decide("stop", epochs, pictures, of={"a": mine, "b": others}, patience=patience):
        assert {"a": mine, "b": others}[d.dataset](epochs) - {"a": mine, "b": others}[d.dataset](d.epoch) < 0.01 + 1e-9


@pytest.mark.parametrize(("at", "pictures"), [(0.5, 400), (0.95, 2000)])
def test_noise_around_a_constant_wakes_at_most_one_in_a_hundred_validations(at: float, pictures: int) -> None:
    """Values of independent pictures: noisier than validations of a real split, which are of the same pictures."""
    draw, wakes, rested = np.random.default_rng(0), 0, 0
    for _ in range(40):
        values = draw.binomial(pictures, at, 60) / pictures
        of = {"a": given_list(*values), "b": doubling(0.2, 0.12)}
        found = [
            d
            for d in decide("stop_and_go", 60, pictures, of=of, min_delta=0.2, margin=0.0, patience=6)
            if d.dataset == "a"
        ]
        ends = [*(d.epoch for d in found), 60]  # rest, wake, rest, ..., end
        rested += sum(end - begin for begin, end in zip(ends[::2], ends[1::2], strict=False))
        wakes += sum(d.action is Action.WAKE for d in found)
    assert rested > 1500
    assert wakes <= FALSE_WAKES * rested


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=30),
    st.integers(0, 29),
    st.sampled_from(["none", "stop", "stop_and_go"]),
    st.floats(10, 1e5),
)
def test_resumed_state_decides_as_uninterrupted_state(
    curves: list[tuple[float, float]], cut: int, rule: str, pictures: float
) -> None:
    whole, first = (stopping_of(rule, ("a", "b"), 32, min_delta=0.1) for _ in range(2))
    for epoch, values in enumerate(curves, 1):
        if epoch == cut:
            second = stopping_of(rule, ("a", "b"), 32, min_delta=0.1)
            second.load_state_dict(json.loads(json.dumps(first.state_dict())))
            first = second
        metrics = seen(dict(zip("ab", values, strict=True)), pictures)
        assert whole.update(epoch, metrics) == first.update(epoch, metrics)
    assert whole.resting == first.resting


def test_a_checkpoint_of_an_earlier_version_is_taken_with_who_rests() -> None:
    """That version counted epochs: who rested rests on, and wakes below its best; the others' windows begin anew."""
    before = {"best": 0.8, "reference": 0.79, "stale": 3, "epochs": 5}
    stopping = stopping_of("stop_and_go", ("a", "b"), 30)
    stopping.load_state_dict({"a": {**before, "resting": True}, "b": {**before, "resting": False}})
    assert stopping.resting == ("a",)
    assert stopping.update(6, seen({"a": 0.795, "b": 0.8})) == ()
    (decision,) = stopping.update(7, seen({"a": 0.79, "b": 0.8}))
    assert (decision.dataset, decision.action) == ("a", Action.WAKE)


def test_a_dataset_without_its_metric_is_left_alone() -> None:
    stopping = stopping_of("stop", ("a", "b"), 12, freed="saved")
    for epoch in range(1, 8):
        stopping.update(epoch, seen({"b": 0.5}))
    assert stopping.resting == ("b",)
    assert not stopping.all_rest
