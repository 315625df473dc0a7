"""A Ray without one of the private names that a study uses: what is lost is said, and the study goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from ray._private import ray_constants
from ray._private.authentication import authentication_token_setup
from ray.train.v2._internal.execution import callback
from ray.tune.execution import class_cache

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
