"""The machines of a Ray cluster: those that are there to stay, and those that it may still start."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from raytune_planes.errors import UserError
from raytune_planes.tuning.leaving import hosts_that_leave

AUTOSCALES = "RAYTUNE_PLANES_AUTOSCALES"
"""Hosts that the cluster may start when trials wait, as its file says: ``4 x 4 CPU 1 GPU, 8 x 8 CPU``."""


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
