"""The Ray that a study runs on: attached to where there is one, started where not, and asked for its machines."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from raytune_planes.allocation import ONE_HEAP
from raytune_planes.errors import UserError
from raytune_planes.memory import granted, is_limited
from raytune_planes.printing import told
from raytune_planes.processors import allowed
from raytune_planes.tuning import ray_hooks
from raytune_planes.tuning.joining import choose, no_answer, temporary_folder
from raytune_planes.tuning.nodes import Node, nodes_now
from raytune_planes.tuning.quiet import quiet_libraries
from raytune_planes.waiting import told_while

UV_RUN, LOOPBACK = "RAY_ENABLE_UV_RUN_RUNTIME_ENV", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""Variables of the environment that Ray reads when it is imported."""
LEVERS: Mapping[str, str] = {
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.1",  # a report is consumed per check; the default of 2 s delays each
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # one process less per worker group
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # else every process imports tensorboardX; our records do more
    "RAY_AIR_NEW_OUTPUT": "0",  # the new output engine prints a table even when told to be silent
    "TUNE_FUNCTION_THREAD_TIMEOUT_S": "600",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # the study has its own, which keeps records whole
    "TUNE_WARN_THRESHOLD_S": "30",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "600",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # datasets of the user's own may have relative paths
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a trial that asked for no GPU sees none
    "RAY_USAGE_STATS_ENABLED": "0",
    # Else Ray packs the working folder under `uv run`, starts each process through uv, and logs the whole environment.
    UV_RUN: "0",
    "OMP_WAIT_POLICY": "PASSIVE",  # see processors.wait_asleep
    **ONE_HEAP,  # Tune calls each trial in a thread
    "OMP_NUM_THREADS": "1",  # the setting devices.threads counts; libraries must not start one thread per core
}
"""Environment of driver and workers (measured on Ray 2.60); what the user set stays."""


SECRET = "KEY|TOKEN|SECRET|PASSWORD"
"""In the name of an environment variable that must not be shown or passed on."""
LEAST_SHARED = 80 * 2**20
"""Bytes of shared objects, below which Ray does not start."""
STARTS = 3
"""How often Ray may be started on a busy machine."""


@dataclass(frozen=True)
class Cluster:
    nodes: tuple[Node, ...]
    joined: str = ""
    """Address of its head where it was there before; empty where this process started it, and hence ends it."""
    processes: tuple[psutil.Process, ...] = ()
    """Ray's own, where this process started them."""
    notes: tuple[str, ...] = ()
    """For people: why another Ray that seems to be there was not joined, or its files are elsewhere."""

    @property
    def cpus(self) -> float:
        return sum(n.cpus for n in self.nodes)


@contextmanager
def connected() -> Iterator[Cluster]:
    """Ray for the time of a study.

    A cluster that ``RAY_ADDRESS`` names, or that ``ray start`` or ``ray up`` of this user left on this machine, is used
    as it is and left running; otherwise one is started on this machine, reachable from nowhere else, and ended.

    Raises:
        UserError: ``RAY_ADDRESS`` names a cluster that does not answer.
    """

    _pull_levers()
    with quiet_libraries():
        connection = _connect()
        try:
            yield Cluster(nodes_now(), connection.address, connection.processes, connection.notes)
        finally:
            connection.end()


@dataclass(frozen=True)
class _Connection:
    address: str
    """Of a Ray that was there before."""
    named: str | None
    """``RAY_ADDRESS`` before."""
    processes: tuple[psutil.Process, ...]
    notes: tuple[str, ...]

    def end(self) -> None:
        import ray

        ray.shutdown()
        if self.named is not None:
            os.environ["RAY_ADDRESS"] = self.named


def _connect() -> _Connection:
    import ray

    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are reported with the trial in which they occurred
    named, choice = os.environ.get("RAY_ADDRESS"), choose(os.environ)
    if not choice.address and choice.note:  # processes of our own Ray must not look there either
        os.environ.pop("RAY_ADDRESS", None)
    address, notes = choice.address, [choice.note]
    processes: set[psutil.Process] = set()
    try:
        if address:  # named, for without one Ray reads the note again, or takes any user's Ray that it finds
            if choice.with_token:
                ray_hooks.use_token()
            environment = {"env_vars": {k: os.environ[k] for k in LEVERS}}
            ray.init(address, log_to_driver=False, logging_level="CRITICAL", runtime_env=environment)
        else:
            _stay_on_loopback()
            folder, note = temporary_folder(os.environ)
            notes.append(note)
            processes = _start({"_temp_dir": folder} if folder else {})
    except (ConnectionError, ValueError, RuntimeError) as error:
        if not address:
            raise
        raise no_answer(address, str(error)) from None
    return _Connection(address, named, tuple(processes), tuple(filter(None, notes)))


def _pull_levers() -> None:
    """Set ``LEVERS``, also the one that Ray has read already when it was imported by any module before this call."""
    for name, value in LEVERS.items():
        os.environ.setdefault(name, value)
    uv_run = os.environ[UV_RUN].lower() in ("1", "true")
    ray_hooks.set_switch(UV_RUN, uv_run, "RAY_ENABLE_UV_RUN_RUNTIME_ENV")
    ray_hooks.keep_from_trials(SECRET)


def _start(where: Mapping[str, str]) -> set[psutil.Process]:
    """Start Ray on this machine, again where it was too busy: Ray gives its processes 30 s, which nothing can change.

    Args:
        where: Arguments of ``ray.init`` that say where it keeps its files.

    Returns:
        The processes that came with it.

    Raises:
        UserError: it did not start ``STARTS`` times.
    """
    import ray

    def busy() -> str:
        return f"this machine is busy: a load of {os.getloadavg()[0]:.0f} on {allowed()} of its processors"

    for turn in range(1, STARTS + 1):
        before = set(psutil.Process().children(recursive=True))
        try:
            # Errors of workers come with their trials; what else they print is libraries' chatter.
            quiet = {"log_to_driver": False, "logging_level": "CRITICAL", "include_dashboard": False}
            with ray_hooks.only_what_runs_trials(), told_while(lambda: f"Ray is still starting, {busy()}"):
                ray.init("local", num_cpus=allowed(), **_memory(), **where, **quiet)
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
            ray.shutdown()  # else its library ends this process a minute after its server is gone
            for process in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
        else:
            return set(psutil.Process().children(recursive=True)) - before
        gc.collect()  # Ray's record of the failed start, while what its processes would warn of is quiet
        if turn < STARTS:
            told(f"Ray did not start within 30 s, {busy()}; try {turn + 1} of {STARTS}")
    raise UserError(
        f"Ray did not start within 30 s, {STARTS} times in a row: this machine is too busy. Try again when less runs "
        "on it; the study has not started"
    )


def _memory() -> dict[str, int]:
    """What Ray is told of memory where the system grants less than the machine has: Ray itself looks at the whole
    machine, or at the outermost control group. A third is for shared objects, as Ray does it."""
    if not is_limited():
        return {}
    shared = int(0.3 * granted())
    return {"object_store_memory": max(shared, LEAST_SHARED), "_memory": granted() - shared}


def _stay_on_loopback() -> None:
    """Make the Ray that is started next listen on 127.0.0.1 only: who reaches its ports can run code here.

    On Linux it listens on every interface unless told that it is no cluster, which it reads when it is imported.
    """
    ray_hooks.set_switch(LOOPBACK, False, "ENABLE_RAY_CLUSTER")
