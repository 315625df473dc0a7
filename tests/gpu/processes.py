"""Several processes on one card: two trials side by side, and two workers of one trial."""

from __future__ import annotations

import importlib.util
import json
import socket
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from raytune_planes.training.cards import limit_memory
from raytune_planes.training.workers import LocalWorker
from raytune_planes.tuning.failures import NO_MEMORY, explain
from tests.gpu.equality import LOSS, furthest, trained
from tests.gpu.place import Found, Place, Skipped

SHARE = 0.4
"""Of the card's memory, for each of two trials."""
STILL = {f"datasets__{name}__head__dropout": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
"""Workers draw other dropout than one that is alone."""


def trials(place: Place) -> Found:
    """Two trials at once; the second asks for more memory than its share, which must be its own trouble alone."""
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_trial, args=(place.device, folder), nprocs=2)
        first, second = (json.loads(Path(folder, f"{i}.json").read_text(encoding="utf-8")) for i in (0, 1))
    apart = furthest(first["losses"], second["losses"])
    refused = place.dry or second["refused"].startswith(NO_MEMORY)
    text = f"losses of two trials at once differ by {apart:.2g}; asked for more than its share: {second['refused']}"
    return Found(apart < 1e-5 and refused, text, {"apart": apart})


def _trial(number: int, device: str, folder: str) -> None:
    torch.set_num_threads(1)
    worker, refused = LocalWorker(device), "not asked"
    limit_memory(worker.device, SHARE)
    if number == 1 and worker.device.type == "cuda":
        try:
            most = torch.cuda.get_device_properties(worker.device).total_memory
            torch.empty(int(1.2 * SHARE * most), dtype=torch.uint8, device=worker.device)
            refused = "it was given"
        except torch.OutOfMemoryError as error:
            refused = explain(error)
    found, _ = trained(worker, {})
    Path(folder, f"{number}.json").write_text(json.dumps({"losses": found, "refused": refused}), encoding="utf-8")


def workers(place: Place) -> Found:
    """Two workers of one trial, joined by gloo, beside one that trains alone."""
    if importlib.util.find_spec("ray") is None:
        raise Skipped("ray is not installed, and a worker is one of Ray's")
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_rank, args=(_free_port(), place.device, folder), nprocs=2)
        first, second = (json.loads(Path(folder, f"{i}.json").read_text(encoding="utf-8")) for i in (0, 1))
    alone, _ = trained(LocalWorker(place.device), STILL)
    same, apart = furthest(first, second), furthest(first, alone)
    text = f"losses differ by {same:.2g} between them, and by {apart:.2g} from one alone; allowed are {LOSS:g}"
    return Found(same == 0 and apart < LOSS, text, {"between": same, "from one alone": apart})


def _rank(rank: int, port: int, device: str, folder: str) -> None:
    from raytune_planes.tuning.worker import RayWorker

    class Rank(RayWorker):
        """A Ray worker's exchanges in a process group that Ray did not start; all ranks are on one card."""

        def __init__(self) -> None:
            self.rank, self.world, self.device = rank, 2, torch.device(device)

    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    found, _ = trained(Rank(), STILL)
    Path(folder, f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    dist.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
