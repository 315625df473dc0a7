"""Hosts that are about to end, as a cloud or a person told Ray ("drain"): trials save, and continue on other hosts."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from raytune_planes.records import TrialRecord
from raytune_planes.tuning import ray_hooks

LEFT = "left"
"""Tag of a trial: the hosts that it left before they ended. In what a training returns: the host that it left."""


ENDS = " is about to end"
"""Ends the message of the error by which a trial leaves its host."""


class HostLeaves(Exception):
    """Raised at the end of an epoch by a training whose host is about to end; says which."""


def leaves(*nodes: str) -> bool:
    """Whether the host of this process, or one of ``nodes`` by Ray's ids, is about to end.

    Every process asks Ray itself, at the end of an epoch: no word of the driver's has to reach it.
    """
    return bool(hosts_that_leave().keys() & {*nodes, node_id()} - {""})


def leave_if_told() -> None:
    """Called at the end of an epoch by a training that is no trial, once the epoch's checkpoint is on its way.

    Raises:
        HostLeaves: the host of this process is about to end.
    """
    if leaves():
        raise HostLeaves(socket.gethostname())


def node_id() -> str:
    """Ray's id of the host of this process; empty without Ray."""
    import ray

    return ray.get_runtime_context().get_node_id() if ray.is_initialized() else ""


def preempted(host: str) -> Exception:
    """The error of a trial that leaves its host: Tune starts the trial again, and counts no failure."""
    from ray.exceptions import RayActorError

    return RayActorError(error_msg=host + ENDS, preempted=True)


def hosts_that_leave() -> Mapping[str, int]:
    """Ray's id of each host that is about to end -> when, in ms of Unix time; 0 where nobody said when."""
    import ray

    return ray_hooks.draining() if ray.is_initialized() else {}


def told_of(nodes: Mapping[str, int], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """Id, and a line for people, of each of ``nodes`` (as ``hosts_that_leave``) that is not ``known``."""
    if not nodes.keys() - set(known):
        return
    import ray

    names = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes()}
    for node, at_ms in nodes.items():
        if node not in known:
            when = f"in {max(0, at_ms // 1000 - int(time.time()))} s" if at_ms else "soon"
            host = names.get(node, "a host")
            yield node, f"{host} (node {node[:8]}) ends {when}: its trials continue on other hosts after their epoch"


def left(error: str) -> str:
    """The host that a trial left, by the text of the error that ended its process; empty where it ended otherwise."""
    found = re.search(rf"RayActorError: (.+){ENDS}\s*$", error)
    return found[1] if found else ""


def goes_on(host: str) -> str:
    """How a training goes on that left ``host``, in words that follow its name."""
    return f"leaves {host}, which is about to end, and continues on another host from its last epoch"


def moved(record: TrialRecord, host: str) -> TrialRecord:
    """``record`` with ``host`` among those that it left."""
    hosts = [*filter(None, [record.tags.get(LEFT, "")]), host]
    return replace(record, tags={**record.tags, LEFT: ", ".join(hosts)})
