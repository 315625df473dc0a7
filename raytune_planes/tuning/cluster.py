"""The Ray that a study runs on: attached to where there is one, started where not, and asked for its machines."""

from __future__ import annotations

import logging
import os
import re
import warnings
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
from raytune_planes.tuning.leaving import hosts_that_leave
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


AUTOSCALES = "RAYTUNE_PLANES_AUTOSCALES"
"""Hosts that the cluster may start when trials wait, as its file says: ``4 x 4 CPU 1 GPU, 8 x 8 CPU``."""


SECRET = "KEY|TOKEN|SECRET|PASSWORD"
"""In the name of an environment variable that must not be shown or passed on."""
LEAST_SHARED = 80 * 2**20
"""Bytes of shared objects, below which Ray does not start."""
STARTS = 3
"""How often Ray may be started on a busy machine."""


@dataclass(frozen=True)
class Node:
    """What one machine of the cluster offers."""

    cpus: float
    gpus: float
    name: str = ""
    """Ray's id of it; none while it is not started."""
    has_card: bool = True
    """Whether its GPUs are real ones: Ray found the cards, or the cluster's file says that such hosts have them.
    ``ray start --num-gpus`` can claim others."""


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


def nodes_now() -> tuple[Node, ...]:
    """The machines that are there to stay, and those that the autoscaler may still start. Call while connected.

    Raises:
        UserError: ``RAYTUNE_PLANES_AUTOSCALES`` cannot be read.
    """
    import ray

    nodes, kinds = [], may_start(os.environ.get(AUTOSCALES, ""))
    # A host without a driver joins all the same: the launcher tells Ray how many GPUs the host was rented with.
    promised = {(kind.cpus, kind.gpus) for _, kind in kinds}
    leaving = hosts_that_leave()  # Ray starts nothing there
    for node in ray.nodes():
        if node["Alive"] and node["NodeID"] not in leaving:
            offered, labels = node["Resources"], node["Labels"]
            cpus, gpus = offered.get("CPU", 0.0), offered.get("GPU", 0.0)
            has_card = "ray.io/accelerator-type" in labels or (cpus, gpus) in promised
            nodes.append(Node(cpus, gpus, node["NodeID"], has_card))
    there = [(n.cpus, n.gpus) for n in nodes]
    for count, kind in kinds:
        nodes += [kind] * (count - there.count((kind.cpus, kind.gpus)))
    return tuple(nodes)


def may_start(text: str) -> list[tuple[int, Node]]:
    """``4 x 4 CPU 1 GPU, 8 x 8 CPU`` as numbers of machines of a kind.

    Raises:
        UserError: it cannot be parsed.
    """
    kinds = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = re.fullmatch(r"(\d+) x (\d+) CPU(?: (\d+) GPU)?", part)
        if not match:
            raise UserError(f"{AUTOSCALES}: cannot read '{part}'; write it like '4 x 4 CPU 1 GPU, 8 x 8 CPU'")
        kinds.append((int(match[1]), Node(float(match[2]), float(match[3] or 0))))
    return kinds


@contextmanager
def connected() -> Iterator[Cluster]:
    """Ray for the time of a study.

    A cluster that ``RAY_ADDRESS`` names, or that ``ray start`` or ``ray up`` of this user left on this machine, is used
    as it is and left running; otherwise one is started on this machine, reachable from nowhere else, and ended.

    Raises:
        UserError: ``RAY_ADDRESS`` names a cluster that does not answer.
    """
    _pull_levers()
    import ray

    for name in ("ray", "ray.tune", "ray.train", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are reported with the trial in which they occurred
    named, choice = os.environ.get("RAY_ADDRESS"), choose(os.environ)
    if not choice.address and choice.note:  # processes of our own Ray must not look there either
        os.environ.pop("RAY_ADDRESS", None)
    address, notes = choice.address, [choice.note]
    processes: set[psutil.Process] = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
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
    messages = tuple(filter(None, notes))
    try:
        yield Cluster(nodes_now(), address, tuple(processes), messages)
    finally:
        ray.shutdown()
        if named is not None:
            os.environ["RAY_ADDRESS"] = named


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Ray's and torch's deprecation warnings are not for users of this program."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning, UserWarning, ResourceWarning, RuntimeWarning):
            warnings.filterwarnings("ignore", category=kind, module=r"(ray|torch|optuna|mlflow|pydantic)\b.*")
        yield


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
            for process in set(psutil.Process().children(recursive=True)) - before:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            if turn < STARTS:
                told(f"Ray did not start within 30 s, {busy()}; try {turn + 1} of {STARTS}")
        else:
            return set(psutil.Process().children(recursive=True)) - before
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
