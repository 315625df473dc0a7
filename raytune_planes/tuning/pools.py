"""Pools: the hosts with GPUs and those without, each with room for its own share of a study's trials."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.printing import counted
from raytune_planes.records import TrialRecord
from raytune_planes.tuning.nodes import Node

GPU, CPU = "gpu", "cpu"
LATER_GPUS, LATER_AT_ONCE = "later_gpus", "later_at_once"
"""Tags of a trial that lacked memory: the share of a GPU that later trials get, or how many run on processors."""
GIVE_UP_S = 300.0
"""Hosts over ssh were back 75 s after their Ray had died."""


@dataclass(frozen=True)
class Needs:
    """What one trial asks for."""

    workers: int = 1
    """Processes that train it together; each finds its share on a single host."""
    cpus: int = 1
    """Of each worker."""
    gpus: float = 0.0
    """Of each worker; 0 for CPUs alone."""
    mixed: bool = False
    """Whether hosts without a GPU train trials of their own, in addition to those with one."""

    def __str__(self) -> str:
        many = f"{self.workers} workers x " if self.workers > 1 else ""
        return f"{many}{counted(float(self.cpus), 'CPU')}" + (
            f" and {many}{self.gpus:g} GPU" if self._only_gpus else ""
        )

    @property
    def _only_gpus(self) -> bool:
        return self.gpus > 0 and not self.mixed


@dataclass(frozen=True)
class Pool:
    """Hosts of one kind."""

    name: str
    gpus: float
    """What each worker gets there."""
    slots: int
    """Trials that fit at once."""


def pools_of(nodes: Sequence[Node], needs: Needs) -> tuple[Pool, ...]:
    """The pools that have room for at least one trial, the one with GPUs first.

    A host belongs to one pool: a CPU trial on a GPU host could take the processors that its GPU trials wait for.
    """
    gpu = _pool(GPU, [n for n in nodes if n.gpus], needs, needs.gpus) if needs.gpus else None
    if needs.gpus and not needs.mixed:
        pools = [gpu]
    else:
        rest = [n for n in nodes if not n.gpus] if gpu and gpu.slots else nodes
        pools = [gpu, _pool(CPU, rest, needs, 0.0)]
    return tuple(pool for pool in pools if pool and pool.slots)


class Pools:
    """Gives each trial its pool when it starts, by the capacity that the cluster has then.

    Args:
        needs: What a trial needs.
        list_nodes: Returns the hosts that are there or may be started.
        requested: Trials at the same time; None for as many as fit.

    Raises:
        UserError: not even one trial fits, or fewer than ``requested``.
    """

    def __init__(self, needs: Needs, list_nodes: Callable[[], Sequence[Node]], requested: int | None = None) -> None:
        self.needs, self._list_nodes = needs, list_nodes
        self._avoided: frozenset[str] = frozenset()
        self._pool_of: dict[str, str] = {}
        self._most_on_cpus: float = float("inf")
        self._away_since_s: float | None = None
        nodes = list_nodes()
        self.now = pools_of(nodes, needs)
        fit = sum(pool.slots for pool in self.now)
        self.at_once = requested or fit
        if fit < (requested or 1):
            raise UserError(_refusal(needs, nodes, fit, requested))

    def __str__(self) -> str:
        """``3 at a time (1 on GPU hosts, 2 on CPU hosts), 2 workers each``."""
        parts = [f"{p.slots} on {p.name.upper()} hosts" for p in self.now]
        each = f", {self.needs.workers} workers each" if self.needs.workers > 1 else ""
        return f"{self.at_once} at a time" + (f" ({', '.join(parts)})" if len(parts) > 1 else "") + each

    @property
    def idle_gpus(self) -> str:
        """``; 3 of 4 GPUs were idle: ...``, where trials leave whole ones free with all of them running; else empty."""
        there = sum(node.gpus for node in self._nodes())
        pool = next((pool for pool in self.now if pool.name == GPU), None)
        trials = min(self.at_once, pool.slots) if pool else 0
        held = trials * self.needs.workers * pool.gpus if pool else 0.0
        idle = int(there - held + 1e-9)
        if idle < 1:
            return ""
        why = f"{counted(trials, 'trial')} took {held:g}" if pool else "--gpus-per-worker asks for none"
        return f"; {idle} of {counted(float(there), 'GPU')} {'was' if idle == 1 else 'were'} idle ({why})"

    @property
    def has_cards(self) -> bool:
        """Whether cards stand for all GPUs that trials may hold a share of."""
        return all(node.has_card for node in self._nodes() if node.gpus)

    def take(self, trial: str) -> dict[str, Any] | None:
        """A place for ``trial``, or None while all are taken.

        ``name`` of the pool, ``gpus`` of each worker, ``labels`` that a host must have, whether its GPUs are cards
        that Ray knows (``card``), and whether ``nccl`` can join them.
        """
        nodes = self._nodes()
        pools = pools_of(nodes, self.needs)
        most = {GPU: float("inf"), CPU: self._most_on_cpus}
        free = (p for p in pools if self._running(p.name) < min(p.slots, most[p.name]))
        pool = next(free, None)
        if pool is None:
            return None
        self._pool_of[trial] = pool.name
        kept = {n.name for n in nodes if n.gpus and n.name} if pool.name == CPU and len(pools) > 1 else set()
        others = sorted(kept | self._avoided)
        labels = {"ray.io/node-id": f"!in({','.join(others)})"} if others else {}
        card = pool.gpus > 0 and self.has_cards
        return {"name": pool.name, "gpus": pool.gpus, "card": card, "nccl": card and pool.gpus >= 1, "labels": labels}

    def avoid(self, names: Iterable[str]) -> None:
        """Start no trials on these hosts.

        Raises:
            UserError: not even one trial fits on the others.
        """
        self._avoided = frozenset(names)
        self.now = pools_of(self._nodes(), self.needs)
        if not self.now:
            raise UserError(
                f"without {len(self._avoided)} of its machines, {_refusal(self.needs, self._nodes(), 0, None)}"
            )
        self.at_once = min(self.at_once, sum(pool.slots for pool in self.now))

    def taught(self, place: Mapping[str, Any]) -> dict[str, str]:
        """What a trial that lacks memory at ``place``, as ``take`` gave it, teaches: tags for it, and for ``remember``.

        Later trials are to get twice its share of a GPU, up to a whole one, or on processors one fewer is to run at
        once. Empty where nothing is left to change, or where it began before the last change and tells nothing new.
        """
        share, running, tags = place["gpus"], self._running(place["name"]), dict[str, str]()
        if place["name"] == GPU:
            larger = min(1.0, 2 * share)
            fits = any(p.name == GPU for p in pools_of(self._nodes(), replace(self.needs, gpus=larger)))
            if share == self.needs.gpus < larger and fits:
                tags = {LATER_GPUS: f"{larger:g}"}
        elif 1 < running <= self._most_on_cpus:
            tags = {LATER_AT_ONCE: f"{running - 1}"}
        return tags

    def remember(self, tags: Mapping[str, str]) -> str:
        """Give trials from now on what ``tags`` of an earlier one say; in words, empty where they change nothing."""
        share, most = float(tags.get(LATER_GPUS, 0)), float(tags.get(LATER_AT_ONCE, "inf"))
        if 0 < self.needs.gpus < share:
            self.needs = replace(self.needs, gpus=share)
            self.now = pools_of(self._nodes(), self.needs)
            return f"later trials get {share:g} of a GPU each"
        if most < self._most_on_cpus:
            self._most_on_cpus = most
            return (
                f"from now on at most {counted(most, 'trial')} at once {'runs' if most == 1 else 'run'} on processors"
            )
        return ""

    @property
    def taken(self) -> int:
        """Places that are taken now."""
        return len(self._pool_of)

    def release(self, trial: str) -> None:
        self._pool_of.pop(trial, None)

    def check(self, waiting: Collection[str], is_running: bool) -> None:
        """Raises KeyboardInterrupt when nothing runs and the hosts of all pools in ``waiting`` have been away for long.

        Without this a study whose last host died would wait for ever; it can be resumed when hosts are back.
        """
        names: set[str] = set() if is_running else {pool.name for pool in pools_of(self._nodes(), self.needs)}
        if is_running or names & set(waiting or names):
            self._away_since_s = None
            return
        now = time.monotonic()
        self._away_since_s = self._away_since_s or now
        if now - self._away_since_s > GIVE_UP_S:
            raise KeyboardInterrupt(f"no host is left that could train: a trial needs {self.needs}")

    def _running(self, name: str) -> int:
        """Trials that have a place in the pool ``name``."""
        return list(self._pool_of.values()).count(name)

    def _nodes(self) -> list[Node]:
        return [n for n in self._list_nodes() if n.name not in self._avoided]


def missing_card(trial: TrialRecord) -> str:
    """That a trial has its share of a GPU and trains on the processor, in words; empty where it does not."""
    if trial.config.get("devices.vision") == "cpu" or (trial.tags["pool"], trial.tags["device"]) != (GPU, "cpu"):
        return ""
    return f"trial {trial.number} has its share of a GPU, but {trial.tags['host']} shows it none: it uses the CPU"


def _pool(name: str, nodes: Sequence[Node], needs: Needs, gpus: float) -> Pool:
    places = sum(
        int(min(n.cpus // needs.cpus, (n.gpus + 1e-9) // gpus if gpus else n.cpus // needs.cpus)) for n in nodes
    )
    return Pool(name, gpus, places // needs.workers)


def _refusal(needs: Needs, nodes: Sequence[Node], fit: int, requested: int | None) -> str:
    def offer(cpus: float, gpus: float) -> str:
        return counted(float(cpus), "CPU") + (f" and {counted(float(gpus), 'GPU')}" if needs.gpus else "")

    there = f"the cluster has {offer(sum(n.cpus for n in nodes), sum(n.gpus for n in nodes))}"
    if len(nodes) > 1:
        largest = max(nodes, key=lambda n: (n.gpus, n.cpus) if needs.gpus else (n.cpus, n.gpus))
        there += f" on {len(nodes)} machines, {offer(largest.cpus, largest.gpus)} on the largest"
    if fit:
        return (
            f"{requested} trials at once need {needs} each; {there}, enough for {fit}; set --concurrent {fit} or less"
        )
    return (
        f"a trial needs {needs}; {there}. "
        "Ask for less with --workers, --cpus-per-worker or --gpus-per-worker, or use a larger cluster"
    )
