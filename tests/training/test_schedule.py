"""Stopping and mixing together, as an epoch uses them: properties that hold for any validation curves."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes import config
from raytune_planes.records import Decision
from raytune_planes.training.evidence_stopping import EvidenceStopping
from raytune_planes.training.mixing import Mixer
from raytune_planes.training.stopping import Stopping

NAMES = ("a", "b", "c")
STEPS, EPOCHS = 13, 16
CURVES = st.lists(st.tuples(*[st.floats(0, 1)] * len(NAMES)), min_size=1, max_size=15)
RULES = st.sampled_from(["none", "stop", "stop_and_go"])
PLATEAUS = st.sampled_from(["epochs", "evidence"])
MIXING = st.sampled_from(["share", "temperature", "gain"])


class Schedule:
    """What a trainer keeps between epochs."""

    def __init__(
        self, rule: str, mixing: str, freed: str = "given", plateau: str = "epochs", patience: int = 1
    ) -> None:
        stops = {n: config.Stop(patience=patience, min_epochs=1, min_delta=0.2) for n in NAMES}
        primary = {n: f"val/{n}/accuracy" for n in NAMES}
        self.stopping: Stopping | EvidenceStopping = (
            Stopping(rule, stops, primary, EPOCHS)
            if plateau == "epochs"
            else EvidenceStopping(rule, stops, primary, EPOCHS, lambda resting: self.mixer.shares(resting))
        )
        settings = config.Stopping(rule=rule, freed=freed)
        shares, sizes = {"a": 1.0, "b": 0.3, "c": 2.0}, {"a": 500, "b": 40, "c": 90}
        self.mixer = Mixer(config.Mixing(rule=mixing), settings, shares, sizes)

    def epoch(self, number: int, values: Sequence[float]) -> tuple[tuple[str, ...], tuple[Decision, ...]]:
        order = self.mixer.epoch(STEPS, self.stopping.resting)
        by_name = dict(zip(NAMES, values, strict=True))
        metrics = {f"val/{n}/accuracy": v for n, v in by_name.items()} | {f"val/{n}/images": 500.0 for n in NAMES}
        decisions = self.stopping.update(number, metrics)
        self.mixer.learn(by_name, {n: order.count(n) for n in NAMES})
        return order, decisions

    def resumed(self, *settings: str) -> Schedule:
        """Another one in this one's state, as it comes back from a file."""
        other = Schedule(*settings)
        other.stopping.load_state_dict(json.loads(json.dumps(self.stopping.state_dict())))
        other.mixer.load_state_dict(json.loads(json.dumps(self.mixer.state_dict())))
        return other


@given(CURVES, RULES, MIXING, PLATEAUS)
def test_under_given_shares_sum_to_one_and_steps_stay_constant_while_anyone_trains(
    curves: list[tuple[float, ...]], rule: str, mixing: str, plateau: str
) -> None:
    schedule = Schedule(rule, mixing, "given", plateau)
    for number, values in enumerate(curves, start=1):
        if schedule.stopping.all_rest:
            break
        assert sum(schedule.mixer.shares(schedule.stopping.resting).values()) == pytest.approx(1.0)
        assert len(schedule.epoch(number, values)[0]) == STEPS


@given(CURVES, RULES, MIXING, PLATEAUS)
def test_saved_steps_never_exceed_an_epoch_and_a_resting_dataset_never_gets_more_than_awake(
    curves: list[tuple[float, ...]], rule: str, mixing: str, plateau: str
) -> None:
    schedule = Schedule(rule, mixing, "saved", plateau)
    for number, values in enumerate(curves, start=1):
        resting = schedule.stopping.resting
        now, awake = schedule.mixer.shares(resting), schedule.mixer.shares()
        assert all(now[n] <= awake[n] + 1e-12 for n in resting)
        assert len(schedule.epoch(number, values)[0]) <= STEPS


@given(CURVES, RULES, MIXING, st.sampled_from(["given", "saved"]), PLATEAUS, st.integers(0, 14))
def test_any_worker_and_any_resumed_trial_takes_the_same_steps_and_decisions(
    curves: list[tuple[float, ...]], rule: str, mixing: str, freed: str, plateau: str, cut: int
) -> None:
    settings = (rule, mixing, freed, plateau)
    one, other, resumed = Schedule(*settings), Schedule(*settings), Schedule(*settings)
    for number, values in enumerate(curves, start=1):
        if number == cut:
            resumed = resumed.resumed(*settings)
        whole = one.epoch(number, values)
        assert other.epoch(number, values) == whole
        assert resumed.epoch(number, values) == whole


@given(CURVES, st.sampled_from(["stop", "stop_and_go"]), st.integers(1, 4), st.integers(1, 4))
def test_with_more_patience_no_dataset_rests_sooner(
    curves: list[tuple[float, ...]], rule: str, patience: int, more: int
) -> None:
    def first(schedule: Schedule) -> dict[str, int]:
        rests: dict[str, int] = {}
        for number, values in enumerate(curves, start=1):
            for decision in schedule.epoch(number, values)[1]:
                rests.setdefault(decision.dataset, number)
        return rests

    hasty, patient = (
        first(Schedule(rule, "share", patience=patience)),
        first(Schedule(rule, "share", patience=patience + more)),
    )
    assert all(n in hasty and hasty[n] <= epoch for n, epoch in patient.items())
