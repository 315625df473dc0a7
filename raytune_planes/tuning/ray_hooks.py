"""What a study needs of Ray and Ray has no public way to: only this file uses Ray's private names in ``tuning``.

Without one of them a study continues, and a warning says what is lost. The upper bound on Ray in ``pyproject.toml`` is
theirs: names without promise come and go with minor versions.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

log = logging.getLogger(__name__)

OF_THE_CONTROLLER = ("_trial_to_actor", "_actor_manager", "_started_actors", "_search_alg")
"""Attributes of Tune's controller that ``processes`` reads."""
BESIDE_TRIALS = ("start_monitor", "start_log_monitor", "start_api_server")
"""How a node of Ray starts its autoscaler, what follows the logs of workers, and the page with its service."""
ASK_S = 0.1
"""Pause between two questions for a trial while none runs."""


def set_switch(variable: str, on: bool, constant: str) -> None:
    """Set what Ray reads from the environment when it is imported, also where any module imported it before this call.

    Args:
        variable: Of the environment; all that a Ray needs that is imported later.
        on: Its value.
        constant: Where ``ray._private.ray_constants`` keeps it.
    """
    os.environ[variable] = str(int(on))
    if "ray" not in sys.modules:
        return
    constants = _module("ray._private.ray_constants")
    if hasattr(constants, constant):
        setattr(constants, constant, on)
    else:
        _lost(f"ray_constants.{constant}", f"set {variable}={int(on)} in the environment before Python starts")


def keep_from_trials(secret: str) -> None:
    """Tune hands the driver's cloud keys to every trial, and Ray writes them into a log; trials read files only.

    Args:
        secret: Pattern in the names of variables of the environment that stay with the driver.
    """
    cache = _module("ray.tune.execution.class_cache")
    names = getattr(cache, "ENV_VARS_TO_PROPAGATE", None)
    if names is None:
        _lost("class_cache.ENV_VARS_TO_PROPAGATE", "cloud keys of this environment may reach trials and Ray's logs")
    else:
        cache.ENV_VARS_TO_PROPAGATE = {name for name in names if not re.search(secret, name)}


def use_token() -> None:
    """Authenticate with the user's token, as a head does that was started where there is one."""
    setup = _module("ray._private.authentication.authentication_token_setup")
    enable = getattr(setup, "maybe_enable_token_auth_if_token_available", None)
    if enable is None:
        _lost("maybe_enable_token_auth_if_token_available", "for a head with a token, set RAY_AUTH_MODE=token")
    else:
        enable(warn_if_disabled=False)


def worker_group_callback() -> type[Any] | None:
    """The class whose methods Ray Train calls in the controller of a worker group; None where there is none.

    The public ``ray.train.UserCallback`` receives reports only: a group that is lost before its first stays unknown.
    """
    callback: type[Any] | None = getattr(
        _module("ray.train.v2._internal.execution.callback"), "WorkerGroupCallback", None
    )
    if callback is None:
        _lost("WorkerGroupCallback", "processors of a trial that loses its process may stay taken until the study ends")
    return callback


def placement_of(group: Any) -> Any:
    """The placement group of a worker group that such a callback is given; None where Ray does not say."""
    try:
        return group.get_worker_group_state().placement_group_handle.placement_group
    except AttributeError as error:
        _lost(str(error), "processors of a trial that loses its process may stay taken until the study ends")
        return None


def process_of(trial: Any) -> Any:
    """The actor of one of Tune's trials; None while it has none, or where Tune does not say."""
    state = getattr(trial, "temporary_state", None)
    if not hasattr(state, "ray_actor"):
        _lost("Trial.temporary_state.ray_actor", "a trial that hangs cannot be ended; it keeps its processors")
    return getattr(state, "ray_actor", None)


def draining() -> dict[str, int]:
    """Ray's id of each host that is to end ("draining") -> when, in ms of Unix time; 0 where nobody said when.

    The public list of hosts does not tell; ``ray.train.get_preemption_info`` needs a process more for each group.
    """
    ask = getattr(getattr(_module("ray._private.state"), "state", None), "get_draining_nodes", None)
    if ask is None:
        _lost("state.get_draining_nodes", "trials of a host that is about to end do not leave it before")
        return {}
    return dict(ask())


@contextmanager
def only_what_runs_trials() -> Iterator[None]:
    """Inside, a Ray that starts on this machine starts nothing beside the processes that run trials.

    Each of the others is a Python process that imports Ray, for as long as the study lasts. On one machine nothing is
    scaled, nobody reads the logs of workers (``log_to_driver`` is off), and the page is off too: without it its process
    sends statistics of use, which are off.
    """
    node = getattr(_module("ray._private.node"), "Node", None)
    own = {name: getattr(node, name) for name in BESIDE_TRIALS if hasattr(node, name)}
    for name in BESIDE_TRIALS:
        if name in own:
            setattr(node, name, lambda *_, **__: None)
        else:
            _lost(f"Node.{name}", "it starts a process that no study needs")
    try:
        yield
    finally:
        for name, method in own.items():
            setattr(node, name, method)


@contextmanager
def processes(unless: Callable[[], bool]) -> Iterator[None]:
    """Inside, Tune's processes take one trial after the other, without waste and without waiting for each other.

    By itself Tune gives a free process to a trial whose own is starting, and ends that one. Where trials are shorter
    than a start (some seconds, for torch is imported) this repeats, and one processor stays idle.

    By itself Tune keeps the process of a trial that ends, with its processors, and then does nothing but ask for the
    next trial for up to ten minutes. Where that one waits for something else that needs the processors, it never comes.

    Args:
        unless: Whether trials wait now: a process that becomes free gives its processors back.
    """

    def reuse(own: Callable[..., bool]) -> Callable[..., bool]:
        return lambda self, trial: not _is_starting(self, trial) and own(self, trial)

    def keep(own: Callable[..., bool]) -> Callable[..., bool]:
        return lambda self, trial: not unless() and own(self, trial)

    def ask(own: Callable[..., bool]) -> Callable[..., bool]:
        def ask_and_go_on(self: Any, blocking: bool = False, timeout: int = 600) -> bool:
            if not blocking or not self.get_trials():  # without any trial Tune cannot say why none runs
                return own(self, blocking, timeout)
            has_new = own(self)
            if not has_new:
                time.sleep(ASK_S)  # no other event may come that its loop would wait for
            return has_new

        return ask_and_go_on

    idle = "processors may stay idle while trials are shorter than the start of a process"
    slow = "trials that wait for datasets trained alone may wait for ten minutes or more"
    with (
        _instead("_maybe_reuse_cached_actor", reuse, idle),
        _instead("_maybe_cache_trial_actor", keep, slow),
        _instead("_update_trial_queue", ask, slow),
    ):
        yield


@contextmanager
def _instead(name: str, make: Callable[[Callable[..., bool]], Callable[..., bool]], consequence: str) -> Iterator[None]:
    """A method of Tune's controller replaced by what ``make`` makes of it; ``consequence``: without that method."""
    controller = getattr(_module("ray.tune.execution.tune_controller"), "TuneController", None)
    own = getattr(controller, name, None)
    if own is None:
        _lost(f"TuneController.{name}", consequence)
        yield
        return
    setattr(controller, name, make(own))
    try:
        yield
    finally:
        setattr(controller, name, own)


def _is_starting(controller: Any, trial: Any) -> bool:
    """Whether a trial's own process has its processors and starts, and other trials will follow.

    One that waits for processors takes a free process: that one may hold those it waits for.
    """
    try:
        trials, actors, started, search = (getattr(controller, name) for name in OF_THE_CONTROLLER)
    except AttributeError as error:
        _lost(str(error), "processors may stay idle while trials are shorter than the start of a process")
        return False
    actor = trials.get(trial)
    return actor is not None and actors.is_actor_started(actor) and actor not in started and not search.is_finished()


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        return None


def _lost(name: str, consequence: str) -> None:
    import ray

    log.warning("Ray %s has no %s: %s", ray.__version__, name, consequence)
