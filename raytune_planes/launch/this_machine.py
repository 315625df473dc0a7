"""Ray cluster launcher back end for "the cluster is the machine I am typing on": no sshd, no rsync, no `ray up`.

    provider: {type: external, module: raytune_planes.launch.this_machine.ThisMachine}

Serves ``ray submit``, ``up``, ``down``, ``exec``, ``attach``, ``dashboard``, ``rsync-up``, ``rsync-down`` and
``get-head-ip``. Imports ``ray.autoscaler``, whose interfaces for external providers these classes fill.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import NODE_KIND_HEAD, STATUS_UP_TO_DATE, TAG_RAY_NODE_KIND, TAG_RAY_NODE_STATUS

from raytune_planes.launch.place import place
from raytune_planes.launch.runner import ThisMachineRunner, invocation

NODE = "this-machine"


class ThisMachine(NodeProvider):
    """Exactly one node, which is never created nor destroyed."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self.place = place(cluster_name)
        self._lock = threading.Lock()

    def node_tags(self, node_id: str) -> dict[str, str]:
        saved: dict[str, str] = {}
        with suppress(
            OSError, ValueError, TypeError
        ):  # lost or damaged: Ray then speaks of a cluster that is out of date
            saved = dict(json.loads(self.place.tags.read_text()))
        # Always up to date, so that `ray submit` needs no `ray up` before it.
        return {**saved, TAG_RAY_NODE_KIND: NODE_KIND_HEAD, TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE}

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        with self._lock:
            draft = self.place.tags.with_suffix(f".{os.getpid()}")
            draft.write_text(json.dumps({**self.node_tags(node_id), **tags}))
            draft.replace(self.place.tags)

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        if invocation().verb in ("up", "create-or-update") and not self.place.tags.exists():
            return []  # `ray up` then speaks of a new cluster instead of an outdated one
        return [NODE] if tag_filters.get(TAG_RAY_NODE_KIND, NODE_KIND_HEAD) == NODE_KIND_HEAD else []

    def nodes_for_teardown(self, tag_filters: dict[str, str]) -> list[str]:
        """Nothing after the `ray stop` that opens `ray down`, which then need not wait for a node to vanish."""
        return self.non_terminated_nodes(tag_filters) if self.place.tags.exists() else []

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        self.set_node_tags(NODE, tags)

    def terminate_node(self, node_id: str) -> None:
        self.place.tags.unlink(missing_ok=True)

    def is_running(self, node_id: str) -> bool:
        return True

    def is_terminated(self, node_id: str) -> bool:
        return False

    def external_ip(self, node_id: str) -> str:
        return "127.0.0.1"

    def internal_ip(self, node_id: str) -> str:
        return "127.0.0.1"

    def get_command_runner(
        self,
        log_prefix: str,
        node_id: str,
        auth_config: dict[str, Any],
        cluster_name: str,
        process_runner: Any,
        use_internal_ip: bool,
        docker_config: dict[str, Any] | None = None,
    ) -> ThisMachineRunner:
        # Ray caches the resolved file in /tmp under a name that all users share: a second user might not be
        # allowed to read the first one's.
        with suppress(OSError, KeyError):
            Path(self.provider_config["_config_cache_path"]).unlink()
        return ThisMachineRunner(self.place)
