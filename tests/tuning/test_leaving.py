"""A trial leaves a host that is about to end, without a Ray that runs: what Tune counts, what is told and recorded."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError
from ray.tune.experiment.trial import Trial

from raytune_planes.records import TrialRecord
from raytune_planes.tuning import leaving
from raytune_planes.tuning.leaving import left, moved, preempted, told_of
from raytune_planes.tuning.recovering import error_of, recovered
from tests.test_records import epoch

RECORD = TrialRecord("a1", 3, {}, {}, started_ms=1, tags={"host": "there"})


def as_tune_has_it(error: Exception) -> RayTaskError:
    """What reaches the driver of an error in a trial's process."""
    cause = pickle.loads(pickle.dumps(error))
    return RayTaskError("train", "Traceback", cause)


@pytest.mark.parametrize(("error", "failures"), [(preempted("there"), 0), (RuntimeError("there is about to end"), 1)])
def test_tune_counts_no_failure_of_a_trial_that_leaves(error: Exception, failures: int) -> None:
    trial = SimpleNamespace(is_restoring=False, local_path="", run_metadata=SimpleNamespace(num_failures=0))
    trial.run_metadata.invalidate_cache = lambda: None
    trial._handle_ray_actor_error = lambda error: Trial._handle_ray_actor_error(trial, error)
    trial._handle_ray_task_error = lambda error: Trial._handle_ray_task_error(trial, error)
    Trial.handle_error(trial, as_tune_has_it(error))
    assert trial.run_metadata.num_failures == failures


def test_the_hosts_that_a_trial_left_are_told_and_recorded(tmp_path: Path) -> None:
    (tmp_path / "error.pkl").write_bytes(pickle.dumps(as_tune_has_it(preempted("there"))))
    trial = SimpleNamespace(pickled_error_file=str(tmp_path / "error.pkl"), get_error=lambda: None)
    after, note = recovered(replace(RECORD, epochs=(epoch(1, 0.5), epoch(2, 0.6))), tmp_path, error_of(trial))
    assert note == "trial 3 leaves there, which is about to end, and continues on another host from epoch 2"
    assert after.tags == {"host": "there", "left": "there"}
    assert moved(after, "elsewhere").tags["left"] == "there, elsewhere"
    lost, note = recovered(RECORD, tmp_path, as_tune_has_it(RuntimeError("boom")))
    assert (lost, note) == (RECORD, "trial 3 lost a process and continues from its start")
    assert left(None) == left("there is about to end") == ""


def test_each_host_that_is_about_to_end_is_told_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.nodes", lambda: [{"NodeID": "ab12cd34ef", "NodeManagerHostname": "spot-7"}])
    monkeypatch.setattr(leaving.time, "time", lambda: 1000.5)
    told = dict(told_of({"ab12cd34ef": 1_118_000, "known": 0, "fe98": 0}, {"known"}))
    after = "its trials continue on other hosts after their epoch"
    assert told == {
        "ab12cd34ef": f"spot-7 (node ab12cd34) ends in 118 s: {after}",
        "fe98": f"a host (node fe98) ends soon: {after}",
    }
    assert list(told_of({"known": 0}, {"known"})) == []
