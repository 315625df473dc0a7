"""A trial leaves a host that is about to end, without a Ray that runs: what Tune counts, what is told and recorded."""

from __future__ import annotations

import pickle
import traceback
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray.exceptions import RayTaskError
from ray.tune.experiment.trial import Trial

from raytune_planes.records import TrialRecord
from raytune_planes.tuning import leaving
from raytune_planes.tuning.leaving import moved, preempted, told_of
from raytune_planes.tuning.recovering import LOW, error_of, recovered
from raytune_planes.tuning.stop_requests import halved
from tests.test_records import epoch

RECORD = TrialRecord("a1", 3, {}, {}, started_ms=1, tags={"host": "there"})


def as_tune_has_it(error: Exception) -> RayTaskError:
    """What reaches the driver of an error in a trial's process."""
    told = "".join(traceback.format_exception(error))
    return RayTaskError("train", told, pickle.loads(pickle.dumps(error)))


@pytest.mark.parametrize(("error", "failures"), [(preempted("there"), 0), (RuntimeError("there is about to end"), 1)])
def test_tune_counts_no_failure_of_a_trial_that_leaves(error: Exception, failures: int) -> None:
    trial = SimpleNamespace(is_restoring=False, local_path="", run_metadata=SimpleNamespace(num_failures=0))
    trial.run_metadata.invalidate_cache = lambda: None
    trial._handle_ray_actor_error = lambda error: Trial._handle_ray_actor_error(trial, error)
    trial._handle_ray_task_error = lambda error: Trial._handle_ray_task_error(trial, error)
    Trial.handle_error(trial, as_tune_has_it(error))
    assert trial.run_metadata.num_failures == failures


def test_the_hosts_that_a_trial_left_are_told_and_recorded(tmp_path: Path) -> None:
    trial = SimpleNamespace(error_file=str(tmp_path / "error.txt"), get_error=lambda: None)
    assert error_of(trial) == ""
    before, last = (f"Failure # {n} (occurred at 12:00)\n" for n in (1, 2))
    (tmp_path / "error.txt").write_text(f"{before}the machine was {LOW}\n{last}{as_tune_has_it(preempted('there'))}\n")
    after, note = recovered(replace(RECORD, epochs=(epoch(1, 0.5), epoch(2, 0.6))), tmp_path, error_of(trial))
    assert note == "trial 3 leaves there, which is about to end, and continues on another host from epoch 2"
    assert after.tags == {"host": "there", "left": "there"}
    assert moved(after, "elsewhere").tags["left"] == "there, elsewhere"
    lost, note = recovered(RECORD, tmp_path, str(as_tune_has_it(RuntimeError("there is about to end"))))
    assert (lost, note) == (RECORD, "trial 3 lost a process and continues from its start")
    assert not halved(tmp_path), "what ended it before counts no more"


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
