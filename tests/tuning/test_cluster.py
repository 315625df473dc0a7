"""What fits into a cluster, and how what does not is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.tuning.cluster import Cluster, Node, connected

LAPTOP = Cluster((Node(2, 0),), started_here=True)
FARM = Cluster((Node(4, 1), Node(4, 1), Node(1, 0)), started_here=False)


def test_as_many_trials_run_as_fit() -> None:
    assert LAPTOP.concurrent(1, 1, 0, None) == 2
    assert LAPTOP.concurrent(2, 1, 0, None) == 1
    assert FARM.concurrent(1, 1, 0, None) == 9
    assert FARM.concurrent(1, 1, 0.5, None) == 4
    assert FARM.concurrent(2, 2, 0, None) == 2, "the third machine has no place for a worker of two CPUs"
    assert FARM.concurrent(1, 1, 0, 3) == 3


@pytest.mark.parametrize(
    ("workers", "cpus", "gpus", "said"),
    [
        (1, 3, 0.0, "a trial needs 3 CPUs; the cluster has 2 CPUs. Ask for less with --workers"),
        (3, 1, 0.0, "a trial needs 3 workers x 1 CPU; the cluster has 2 CPUs"),
        (1, 1, 1.0, "a trial needs 1 CPU and 1 GPU; the cluster has 2 CPUs and 0 GPUs"),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused(workers: int, cpus: int, gpus: float, said: str) -> None:
    with pytest.raises(UserError, match=said):
        LAPTOP.concurrent(workers, cpus, gpus, None)


def test_more_trials_at_once_than_fit_are_refused() -> None:
    with pytest.raises(UserError, match="3 trials at once need 1 CPU each; the cluster has 2 CPUs, enough for 2"):
        LAPTOP.concurrent(1, 1, 0, 3)


def test_machines_are_counted_in_the_message() -> None:
    with pytest.raises(UserError, match="the cluster has 9 CPUs on 3 machines"):
        FARM.concurrent(1, 8, 0, None)


def test_a_named_cluster_that_does_not_answer_is_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"the Ray cluster at 127\.0\.0\.1:1 does not answer"), connected():
        pass


def test_a_note_of_a_dead_head_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from raytune_planes.tuning.cluster import _head_on_this_machine

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert _head_on_this_machine() == ""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    assert _head_on_this_machine() == ""
