"""Hosts of a Ray cluster that are all on this machine and listen on its loopback: they join, die, and are drained."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest
import ray
from ray._private import ray_constants
from ray.cluster_utils import Cluster
from ray.core.generated import autoscaler_pb2

SIZE = {"object_store_memory": 100_000_000}
"""Of each host."""
NOTICE_S = 120
"""As a cloud gives it."""


@contextlib.contextmanager
def loopback() -> Iterator[None]:
    """Hosts that are made inside listen on 127.0.0.1 only, which Ray decides when it is told that it is no cluster.

    Their head's note lies in a folder of its own (short, for sockets): a study of anyone here joins by ``/tmp/ray``'s.
    """
    with (
        tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(ray_constants, "ENABLE_RAY_CLUSTER", False)
        patch.setenv(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "0")
        patch.setenv("RAY_TMPDIR", folder)
        yield


def with_a_head() -> Cluster:
    """A cluster of a head that trains nothing."""
    return Cluster(initialize_head=True, head_node_args={**SIZE, "num_cpus": 0, "include_dashboard": False})


def kill(cluster: Cluster, node: Any) -> None:
    """All processes of a host at once: a worker that outlives its raylet for a moment could end its trial in it."""
    (raylet,) = node.all_processes["raylet"]
    processes = []
    with contextlib.suppress(psutil.NoSuchProcess):  # one that was told to end does so when nothing runs there
        processes = psutil.Process(raylet.process.pid).children(recursive=True)
    cluster.remove_node(node, allow_graceful=False)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def drain(cluster: Cluster, node: Any) -> None:
    """Ray is told that the host ends in two minutes, as ``ray drain-node`` does."""
    reason = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
    client = ray._raylet.GcsClient(address=cluster.address)
    assert client.drain_node(node.node_id, reason, "", int(time.time() * 1000) + 1000 * NOTICE_S)[0]
