"""A study on several hosts of two kinds, all on this machine: placement, a host that dies, equal results."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import ray

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import Trackers
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import MlflowTracker
from raytune_planes.tracking.mlflow_connection import default_uri
from raytune_planes.tuning import watch
from raytune_planes.tuning.nodes import AUTOSCALES
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.study import Outcome, run_study
from tests.tuning.hosts import SIZE, drain, kill, loopback, with_a_head
from tests.tuning.tiny import tiny_plan, trained_alone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]


class Hosts:
    """A head that trains nothing, two hosts with a CPU, and one with two CPUs and a GPU that no card stands for."""

    def __init__(self) -> None:
        self.cluster = with_a_head()
        self.nodes = {
            "first": self.cluster.add_node(num_cpus=1, **SIZE),
            "second": self.cluster.add_node(num_cpus=1, **SIZE),
            "gpu": self.cluster.add_node(num_cpus=2, num_gpus=1, **SIZE),
        }

    def kill(self, host: str) -> None:
        kill(self.cluster, self.nodes[host])

    def drain(self, host: str) -> None:
        drain(self.cluster, self.nodes[host])

    @property
    def names(self) -> dict[str, str]:
        """The tag ``node`` -> host."""
        return {node.node_id[:8]: name for name, node in self.nodes.items()}


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    with loopback():
        made = Hosts()
        monkeypatch.setenv("RAY_ADDRESS", made.cluster.address)
        yield made
        ray.shutdown()
        made.cluster.shutdown()


class KillsAHost(PlainView):
    """Ends a CPU host, as a power cut does, once a trial there has trained two epochs."""

    def __init__(self, hosts: Hosts, shown: io.StringIO) -> None:
        super().__init__(shown)
        self.hosts, self.killed, self.before = hosts, "", ""

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        super().epoch(trial, epoch)
        host = self.hosts.names[trial.tags["node"]]
        if epoch.epoch == 2 and host != "gpu" and not self.killed:
            self.killed, self.before = trial.trial_id, host
            self.hosts.kill(host)


class DrainsAHost(PlainView):
    """Has a CPU host told to end once a trial there has trained two epochs, and ends it once the trial has left."""

    def __init__(self, hosts: Hosts, shown: io.StringIO) -> None:
        super().__init__(shown)
        self.hosts, self.left, self.before, self.is_over = hosts, "", "", False
        self.trained: list[tuple[str, int, str]] = []

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        super().epoch(trial, epoch)
        host = self.hosts.names[trial.tags["node"]]
        self.trained.append((trial.trial_id, epoch.epoch, host))
        if epoch.epoch == 2 and host != "gpu" and not self.left:
            self.left, self.before = trial.trial_id, host
            self.hosts.drain(host)
        elif trial.trial_id == self.left and not self.is_over:
            self.is_over = True
            self.hosts.kill(self.before)


def test_a_host_that_was_rented_with_a_gpu_and_shows_none_ends_the_study(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one in the clouds does whose image has no driver, or an old one."""
    monkeypatch.setenv(AUTOSCALES, "1 x 2 CPU 1 GPU")
    shown = io.StringIO()
    plan = tiny_plan(tmp_path, fixed={"budget.epochs": 40, "stopping.rule": "none"}, trials=9, gpus_per_worker=1.0)

    outcome = run_study(plan, view=PlainView(shown), trackers=Trackers(JsonlTracker(plan.out)))

    assert outcome.interrupted
    assert "this trial holds a share of a GPU on" in outcome.reason
    assert "but torch cannot use it" in outcome.reason
    (trial,) = outcome.study.trials
    assert (trial.end, trial.epochs) == (End.INTERRUPTED, ()), shown.getvalue()  # a resumed study trains it
    assert outcome.reason in shown.getvalue()


def test_both_kinds_of_host_train_and_the_trials_of_one_that_dies_go_on_elsewhere(hosts: Hosts, tmp_path: Path) -> None:
    shown = io.StringIO()
    view = KillsAHost(hosts, shown)
    fixed = {"budget.epochs": 6, "stopping.rule": "none"}
    plan = tiny_plan(tmp_path, fixed=fixed, trials=6, gpus_per_worker=1.0, cpu_hosts=True)
    uri = default_uri(plan.out)
    trackers = Trackers(JsonlTracker(plan.out), MlflowTracker(plan.out, uri))

    outcome = run_study(plan, view=view, trackers=trackers)

    trials, said = outcome.study.trials, shown.getvalue()
    assert "3 at a time (1 on GPU hosts, 2 on CPU hosts), on a Ray cluster of 4 machines" in said
    assert [t.end for t in trials] == [End.COMPLETED] * 6, said
    assert all([e.epoch for e in t.epochs] == [1, 2, 3, 4, 5, 6] for t in trials)
    places = {(t.tags["pool"], "gpu" if hosts.names[t.tags["node"]] == "gpu" else "cpu") for t in trials}
    assert places == {("gpu", "gpu"), ("cpu", "cpu")}
    assert "trial 0 has its share of a GPU, but" in said
    assert f"trial 0 epoch 1/6 on {trials[0].tags['host']} (gpu): " in said

    moved = next(t for t in trials if t.trial_id == view.killed)
    assert f"trial {moved.number} lost a process and continues from epoch 2" in said
    assert hosts.names[moved.tags["node"]] == {"first": "second", "second": "first"}[view.before]

    from mlflow import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.kind = 'trial'")
    assert sorted(r.data.tags["trial_id"] for r in runs) == sorted(t.trial_id for t in trials)
    assert {r.info.status for r in runs} == {"FINISHED"}
    tags = ("pool", "host", "node", "device")
    told = {r.data.tags["trial_id"]: [r.data.tags[k] for k in tags] for r in runs}
    assert told == {t.trial_id: [t.tags[k] for k in tags] for t in trials}

    alone = on_this_machine(
        replace(plan, out=tmp_path / "alone", settings=plan.settings.model_copy(update={"trials": 1}))
    )
    assert [(e.samples, e.metrics) for e in alone.study.trials[0].epochs] == [
        (e.samples, e.metrics) for e in trials[0].epochs
    ]


def test_the_trials_of_a_host_that_is_told_to_end_leave_it_before(
    hosts: Hosts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "HOSTS_S", 0.0)  # a host without trials ends by itself, before it is asked about again
    view = DrainsAHost(hosts, shown := io.StringIO())
    fixed = {"budget.epochs": 4, "stopping.rule": "none"}
    plan = tiny_plan(tmp_path, fixed=fixed, trials=3, gpus_per_worker=1.0, cpu_hosts=True, retries=0)
    uri = default_uri(plan.out)

    outcome = run_study(plan, view=view, trackers=Trackers(JsonlTracker(plan.out), MlflowTracker(plan.out, uri)))

    trials, said = outcome.study.trials, shown.getvalue()
    assert [t.end for t in trials] == [End.COMPLETED] * 3, said
    assert all([e.epoch for e in t.epochs] == [1, 2, 3, 4] for t in trials)
    assert view.is_over
    left = next(t for t in trials if t.trial_id == view.left)
    other = {"first": "second", "second": "first"}[view.before]
    places = [(epoch, host) for trial_id, epoch, host in view.trained if trial_id == view.left]
    assert places == [(1, view.before), (2, view.before), (3, other), (4, other)]
    host = left.tags["host"]
    assert f"{host} (node {hosts.nodes[view.before].node_id[:8]}) ends in 1" in said
    assert (
        f"trial {left.number} leaves {host}, which is about to end, and continues on another host from epoch 2" in said
    )
    assert "lost a process" not in said
    assert [t.tags.get("left") for t in trials] == [host if t is left else None for t in trials]
    assert [(e.samples, e.metrics) for e in left.epochs] == [(e.samples, e.metrics) for e in trained_alone(plan, left)]

    from mlflow import MlflowClient

    client = MlflowClient(uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.kind = 'trial'")
    assert {r.data.tags["trial_id"]: r.data.tags.get("left") for r in runs} == {
        t.trial_id: t.tags.get("left") for t in trials
    }


def on_this_machine(plan: StudyPlan) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ADDRESS", "local")
        return run_study(plan, view=PlainView(io.StringIO()), trackers=Trackers(JsonlTracker(plan.out)))
