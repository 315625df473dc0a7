"""Whether the hosts of a cluster see the study's folder, where trials keep checkpoints and read requests to stop."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from raytune_planes.tuning.lease import FILE

ANSWER_S = 120.0
"""A host's first process may have to import Ray from a slow disk."""


def blind_hosts(folder: Path) -> dict[str, str]:
    """Ray's id and the name of every host that does not see ``folder``. Call while connected and holding its lease."""
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = ray.get_runtime_context().get_node_id()
    hosts = {n["NodeID"]: n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")}
    mark = (folder / FILE).read_bytes()
    probe = ray.remote(num_cpus=0, max_retries=0)(sees)
    pending = {
        name: probe.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)).remote(
            str(folder.resolve() / FILE), mark
        )
        for name in hosts
        if name != here
    }
    if pending:
        ray.wait(list(pending.values()), num_returns=len(pending), timeout=ANSWER_S)
    blind = {}
    for name, answer in pending.items():
        try:
            visible = ray.get(answer, timeout=0)
        except RayError:  # it died, or did not answer in time
            visible = False
        if not visible:
            blind[name] = str(hosts[name]["NodeManagerHostname"])
    return blind


def sees(path: str, mark: bytes) -> bool:
    """Whether ``path`` holds ``mark``: the same path may exist on every host and be another folder on each."""
    try:
        return Path(path).read_bytes() == mark
    except OSError:
        return False


def warning_of(folder: Path, hosts: Collection[str]) -> str:
    names = sorted(hosts)
    return (
        f"{', '.join(names)} {'does' if len(names) == 1 else 'do'} not see {folder.resolve()}, so no trial runs there; "
        "name a folder that all hosts share with --out"
    )
