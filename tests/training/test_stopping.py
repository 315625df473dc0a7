"""A dataset rests when it has learnt enough and wakes when it gets worse."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from raytune_planes import config
from raytune_planes.records import Action
from raytune_planes.training.stopping import Stopping

COUNTED = {"min_delta": 0.002, "margin": 0.02}
values = st.lists(st.floats(0, 1), min_size=1, max_size=30)


def run(
    rule: str, curve: list[float], *, floor: float = 0.0, epochs: int = 30, **stop: object
) -> list[tuple[int, str]]:
    """(epoch, action) of every decision on one dataset's curve."""
    stopping = Stopping(rule, {"a": config.Stop(**{**COUNTED, **stop})}, {"a": "val/a/accuracy"}, epochs)
    floors, out = {"val/a/accuracy": floor}, []
    for epoch, value in enumerate(curve, 1):
        out += [(d.epoch, str(d.action)) for d in stopping.update(epoch, {"val/a/accuracy": value}, floors)]
    return out


def test_a_plateau_of_patience_epochs_puts_a_dataset_to_rest() -> None:
    assert run("stop", [0.1, 0.5, 0.5, 0.5, 0.5], patience=2, min_epochs=1) == [(4, "rest")]


def test_a_gain_of_no_more_than_min_delta_is_no_gain() -> None:
    assert run("stop", [0.5, 0.51, 0.52], patience=2, min_delta=0.05, min_epochs=1) == [(3, "rest")]


def test_a_relative_min_delta_scales_with_the_best() -> None:
    curve = [0.1, 0.13, 0.16]
    assert run("stop", curve, patience=1, min_delta=0.2, min_epochs=1, relative=True) == []
    assert run("stop", curve, patience=1, min_delta=0.2, min_epochs=1) == [(2, "rest")]


def test_a_target_puts_a_dataset_to_rest_at_once_but_not_before_min_epochs() -> None:
    assert run("stop", [0.9, 0.9, 0.95], target=0.8, min_epochs=1) == [(1, "rest")]
    assert run("stop", [0.9, 0.91, 0.95], target=0.8, min_epochs=3) == [(3, "rest")]


def test_shares_of_the_budget_become_epochs() -> None:
    """A tenth of 30 epochs without a gain, but not before a third of them; of 6 epochs, one and two."""
    flat = [0.5] * 29
    assert run("stop", flat, patience=0.1, min_epochs=1, epochs=30) == [(4, "rest")]
    assert run("stop", flat, patience=0.1, min_epochs=1 / 3, epochs=30) == [(10, "rest")]
    assert run("stop", flat[:5], patience=0.1, min_epochs=1 / 3, epochs=6) == [(2, "rest")]


@given(st.integers(4, 600), st.floats(0.05, 0.4), st.floats(0.05, 0.5))
def test_with_shares_a_flat_curve_rests_at_the_same_part_of_any_budget(epochs: int, wait: float, least: float) -> None:
    ((epoch, action),) = run("stop", [0.5] * (epochs - 1), patience=wait, min_epochs=least, epochs=epochs)
    assert action == "rest"
    assert abs(epoch - max(1 + wait * epochs, least * epochs)) <= 1


def test_a_length_is_a_share_or_a_whole_number_of_epochs() -> None:
    with pytest.raises(ValidationError, match=r"2\.5 is neither a share of the budget \(below 1\) nor a whole number"):
        config.Stop(patience=2.5)
    with pytest.raises(ValidationError, match="greater than 0"):
        config.Stop(min_epochs=0)


def test_rule_none_never_decides() -> None:
    assert run("none", [0.5] * 10, patience=1, min_epochs=1) == []


def test_rule_stop_never_wakes() -> None:
    assert run("stop", [0.5, 0.5, 0.5, 0.0, 0.0], patience=1, min_epochs=1) == [(2, "rest")]


def test_a_resting_dataset_wakes_below_its_best_by_the_margin() -> None:
    curve = [0.5, 0.5, 0.498, 0.49, 0.6]
    assert run("stop_and_go", curve, patience=1, min_epochs=1, margin=0.01) == [(2, "rest"), (4, "wake")]


def test_a_woken_dataset_may_rest_again_only_after_patience() -> None:
    curve = [0.5, 0.5, 0.4, 0.4, 0.4, 0.4]
    actions = run("stop_and_go", curve, patience=2, min_epochs=1, margin=0.01)
    assert actions == [(3, "rest"), (4, "wake"), (6, "rest")]


@pytest.mark.parametrize("rule", ["stop", "stop_and_go"])
def test_a_dataset_below_its_floor_does_not_rest(rule: str) -> None:
    """Neither on a plateau nor at its target; once it keeps the floor its patience counts from its last gain."""
    curve = [0.5, 0.778, 0.778, 0.778, 0.91, 0.91]
    assert run(rule, curve, patience=1, min_epochs=1) == [(3, "rest")] + [(5, "wake")] * (rule == "stop_and_go") + [
        (6, "rest")
    ] * (rule == "stop_and_go")
    assert run(rule, curve, patience=1, min_epochs=1, floor=0.9) == [(6, "rest")]
    assert run(rule, curve, patience=9, min_epochs=1, target=0.7, floor=0.9) == [(5, "rest")]


@pytest.mark.parametrize("rule", ["stop", "stop_and_go"])
def test_a_dataset_that_falls_below_its_floor_at_rest_wakes(rule: str) -> None:
    curve = [0.91, 0.91, 0.905, 0.899, 0.899, 0.899]
    assert run(rule, curve, patience=1, min_epochs=1, floor=0.9) == [(2, "rest"), (4, "wake")]


def test_a_dataset_that_goes_on_improving_at_rest_wakes_and_may_rest_again_after_patience() -> None:
    """Its trickle takes it from 0.778 to 0.82: more than the margin that would wake it if it fell."""
    curve = [0.778, 0.778, 0.778, 0.79, 0.82, 0.84, 0.84, 0.84]
    assert run("stop_and_go", curve, patience=2, min_epochs=1) == [(3, "rest"), (5, "wake"), (8, "rest")]
    assert run("stop", curve, patience=2, min_epochs=1) == [(3, "rest")]


def test_at_its_target_a_dataset_rests_on_however_far_it_rises() -> None:
    assert run("stop_and_go", [0.8, 0.9, 0.99], patience=1, min_epochs=1, target=0.8) == [(1, "rest")]


def test_any_floor_of_a_dataset_keeps_it_awake_and_no_other_datasets() -> None:
    stops = {name: config.Stop(patience=1, min_epochs=1) for name in ("a", "b")}
    stopping = Stopping("stop_and_go", stops, {"a": "val/a/accuracy", "b": "val/b/accuracy"}, 30)
    metrics = {"val/a/accuracy": 0.5, "val/a/iou": 0.2, "val/b/accuracy": 0.5}
    floors = {"val/a/accuracy": 0.4, "val/a/iou": 0.3, "val/b/iou": 0.3}  # the last was not measured
    for epoch in (1, 2):
        stopping.update(epoch, metrics, floors)
    assert stopping.resting == ("b",)
    stopping.update(3, {**metrics, "val/a/iou": 0.3}, floors)
    assert stopping.resting == ("a", "b")
    (decision,) = stopping.update(4, metrics, floors)
    assert (decision.dataset, decision.action) == ("a", Action.WAKE)
    assert decision.reason == "val/a/iou is 0.2, below its floor of 0.3"


def test_a_decision_carries_its_reason() -> None:
    stopping = Stopping("stop", {"a": config.Stop(patience=1, min_epochs=1, **COUNTED)}, {"a": "val/a/accuracy"}, 30)
    stopping.update(1, {"val/a/accuracy": 0.5})
    (decision,) = stopping.update(2, {"val/a/accuracy": 0.5})
    assert decision.action is Action.REST
    assert decision.reason == "no gain above 0.002 (absolute) for 1 epoch; best 0.5"
    assert stopping.resting == ("a",)
    assert stopping.all_rest


def test_a_dataset_without_its_metric_is_left_alone() -> None:
    stopping = Stopping("stop", {"a": config.Stop(patience=1, min_epochs=1)}, {"a": "val/a/iou"}, 30)
    assert stopping.update(1, {"val/a/accuracy": 0.5}) == ()
    assert not stopping.all_rest


@given(values, st.integers(1, 5), st.integers(1, 5))
def test_more_patience_never_rests_sooner(curve: list[float], patience: int, more: int) -> None:
    def first(p: int) -> float:
        return next((float(e) for e, _ in run("stop", curve, patience=p, min_epochs=1)), float("inf"))

    assert first(patience) <= first(patience + more)


@given(values, st.integers(0, 29), st.sampled_from(["none", "stop", "stop_and_go"]), st.integers(1, 3))
def test_resumed_state_decides_as_uninterrupted_state(curve: list[float], cut: int, rule: str, patience: int) -> None:
    def fresh() -> Stopping:
        return Stopping(rule, {"a": config.Stop(patience=patience, min_epochs=1)}, {"a": "val/a/accuracy"}, 30)

    whole, first = fresh(), fresh()
    expected, got = [], []
    for epoch, value in enumerate(curve, 1):
        if epoch == cut:
            second = fresh()
            second.load_state_dict(first.state_dict())
            first = second
        expected += whole.update(epoch, {"val/a/accuracy": value})
        got += first.update(epoch, {"val/a/accuracy": value})
    assert got == expected


@given(values)
def test_a_rule_is_a_pure_function_of_its_records(curve: list[float]) -> None:
    assert run("stop_and_go", curve, patience=1) == run("stop_and_go", curve, patience=1)


@pytest.mark.parametrize("rule", ["stop", "stop_and_go"])
def test_rest_and_wake_alternate(rule: str) -> None:
    curve = [0.5, 0.5, 0.1, 0.1, 0.5, 0.5, 0.2, 0.2, 0.9]
    actions = [a for _, a in run(rule, curve, patience=1, min_epochs=1)]
    assert actions[0] == "rest"
    assert all(a != b for a, b in itertools.pairwise(actions))
