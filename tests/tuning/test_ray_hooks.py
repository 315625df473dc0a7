"""A Ray without one of the private names that a study uses: what is lost is said, and the study goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray._private import node, ray_constants, state
from ray._private.authentication import authentication_token_setup
from ray.train.v2._internal.execution import callback
from ray.tune.execution import class_cache, tune_controller

from raytune_planes.tuning import ray_hooks, reaper


def test_a_ray_without_a_switch_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "1")
    monkeypatch.delattr(ray_constants, "ENABLE_RAY_CLUSTER")
    ray_hooks.set_switch("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", False, "ENABLE_RAY_CLUSTER")
    assert os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert not hasattr(ray_constants, "ENABLE_RAY_CLUSTER")
    assert "has no ray_constants.ENABLE_RAY_CLUSTER: set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 in the env" in caplog.text


def test_a_switch_that_is_set_before_ray_is_imported_needs_no_private_name() -> None:
    code = (
        "import sys\nfrom raytune_planes.tuning import ray_hooks\n"
        "ray_hooks.set_switch('RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER', False, 'ENABLE_RAY_CLUSTER')\n"
        "ray_hooks.set_switch('RAY_ENABLE_UV_RUN_RUNTIME_ENV', False, 'RAY_ENABLE_UV_RUN_RUNTIME_ENV')\n"
        "assert 'ray' not in sys.modules\n"
        "from ray._private import ray_constants as c\n"
        "print(c.ENABLE_RAY_CLUSTER, c.RAY_ENABLE_UV_RUN_RUNTIME_ENV)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False False\n", done.stderr


def test_a_tune_without_its_list_of_variables_says_that_keys_may_travel(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(class_cache, "ENV_VARS_TO_PROPAGATE")
    ray_hooks.keep_from_trials("KEY")
    assert "ENV_VARS_TO_PROPAGATE: cloud keys of this environment may reach trials and Ray's logs" in caplog.text


def test_a_ray_that_cannot_look_for_a_token_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(authentication_token_setup, "maybe_enable_token_auth_if_token_available")
    ray_hooks.use_token()
    assert "for a head with a token, set RAY_AUTH_MODE=token" in caplog.text


def test_a_ray_that_does_not_tell_which_hosts_end_leaves_trials_there(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(state.GlobalState, "get_draining_nodes")
    assert ray_hooks.draining() == {}
    assert "state.get_draining_nodes: trials of a host that is about to end do not leave it before" in caplog.text


def test_a_train_without_callbacks_of_groups_trains_and_says_what_stays_taken(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert [type(c).__mro__[1] for c in reaper.remembering("a")] == [callback.WorkerGroupCallback]
    monkeypatch.delattr(callback, "WorkerGroupCallback")
    assert reaper.remembering("a") == []
    assert "no WorkerGroupCallback: processors of a trial that loses its process may stay taken" in caplog.text


def test_a_group_and_a_trial_that_tell_nothing_are_none(caplog: pytest.LogCaptureFixture) -> None:
    assert ray_hooks.placement_of(SimpleNamespace()) is None
    assert "get_worker_group_state" in caplog.text
    assert ray_hooks.process_of(SimpleNamespace(temporary_state=SimpleNamespace(ray_actor=None))) is None
    assert "hangs" not in caplog.text
    assert ray_hooks.process_of(SimpleNamespace()) is None
    assert "no Trial.temporary_state.ray_actor: a trial that hangs cannot be ended" in caplog.text


SHORT_TRIALS = """
import os, sys, time
from pathlib import Path
import ray
from ray import tune
from raytune_planes.tuning.ray_hooks import processes

noted = Path(sys.argv[1])

def count(pattern):
    return len(list(noted.glob(pattern)))

class Short(tune.Trainable):
    # The first process is there at once. The second starts for longer than three trials take, and the first waits
    # for it after six, so that neither is too slow for the other on a busy machine.
    def setup(self, config):
        (noted / f"{os.getpid()}.started").touch()
        while count("*.started") > 1 and count("*.trained") < 3:
            time.sleep(0.1)
        (noted / f"{os.getpid()}.ready").touch()
    def reset_config(self, config):
        return True
    def save_checkpoint(self, folder):
        return {}
    def load_checkpoint(self, state):
        pass
    def step(self):
        (noted / f"{os.getpid()}.{self.trial_id}.trained").touch()
        patience = 600
        while count("*.trained") > 5 and count("*.ready") < 2 and patience:
            time.sleep(0.1)
            patience -= 1
        return {"done": True}

ray.init(num_cpus=2, include_dashboard=False)
with processes(unless=lambda: False):
    tune.Tuner(
        Short,
        param_space={"number": tune.randint(0, 9)},
        tune_config=tune.TuneConfig(num_samples=12, max_concurrent_trials=2, reuse_actors=True),
        run_config=tune.RunConfig(storage_path=str(noted / "ray"), verbose=0),
    ).fit()
"""


@pytest.mark.slow
def test_a_process_that_starts_is_kept_while_short_trials_pass(tmp_path: Path) -> None:
    run = [sys.executable, "-c", SHORT_TRIALS, str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    trained = [path.name.partition(".")[0] for path in tmp_path.glob("*.trained")]
    assert len(trained) == 12
    assert len(set(trained)) == 2, "by itself Tune ends the second process while it starts, and one trains all trials"
    assert len(list(tmp_path.glob("*.started"))) == 2


def test_a_ray_without_a_way_to_start_fewer_processes_says_so_and_takes_none_from_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(node.Node, "start_monitor")
    own = node.Node.start_log_monitor
    with ray_hooks.only_what_runs_trials():
        assert node.Node.start_log_monitor is not own
    assert node.Node.start_log_monitor is own
    assert not hasattr(node.Node, "start_monitor")
    assert "no Node.start_monitor: it starts a process that no study needs" in caplog.text


def test_a_tune_without_the_method_that_reuses_processes_says_what_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(tune_controller.TuneController, "_maybe_reuse_cached_actor")
    with ray_hooks.processes(unless=lambda: False):
        assert "no TuneController._maybe_reuse_cached_actor: processors may stay idle while trials are" in caplog.text
    assert not hasattr(tune_controller.TuneController, "_maybe_reuse_cached_actor")
