"""What a trial tells Tune while it trains: its epochs, its place, and notes; and its checkpoints, kept beside."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from raytune_planes.records import End, EpochRecord
from raytune_planes.tracking.files import EPOCHS
from raytune_planes.tracking.reading import epoch_from_line, epoch_to_line, read_epochs
from raytune_planes.tracking.steps import StepFile
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.loop import StopTrial
from raytune_planes.training.workers import Worker
from raytune_planes.training.writing import Writer
from raytune_planes.tuning.cores import CoreTime
from raytune_planes.tuning.leaving import HostLeaves, leaves, node_id
from raytune_planes.tuning.stop_requests import stop_requested


class Reporter:
    """Tells Tune of each epoch, keeps its checkpoint, and ends the trial when the driver or its host requests it."""

    def __init__(self, folder: Path, worker: Worker, began_with: Sequence[str] = (), led_from: str = "") -> None:
        """``began_with``: weights of another trial that this one began with, known when its first epoch ends.
        ``led_from``: Ray's id of the host of the trial's own process, where that is not a worker."""
        self._folder, self._worker, self._began_with, self._led_from = folder, worker, began_with, led_from
        self.steps = StepFile(folder)
        self._before = CoreTime.now()
        self._sent: list[str] = []
        self._taught: dict[str, str] = {}
        self._writer = Writer()

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *error: Any) -> None:
        """Returns when all checkpoints are on the disk. Raises OSError when one could not be written."""
        self._writer.__exit__(*error)

    def tell_again(self, state: Mapping[str, Any]) -> None:
        """Tell of the epochs that a checkpoint knows and the driver does not: reports of a worker group lag by a
        second, and the last are lost with it. All workers read the same files, and report equally often."""
        self._sent, self._taught = list(state.get("told", ())), dict(state.get("teachers", {}))
        recorded = {record.epoch for record in read_epochs(self._folder / EPOCHS)[0]}
        for line in self._sent:
            record = epoch_from_line(line.encode())
            if record.epoch not in recorded:
                self._tell(record)

    def __call__(self, record: EpochRecord, checkpoint: Checkpoint) -> None:
        """Raises StopTrial when the driver requests it, HostLeaves when a host of the trial is about to end."""
        self._taught = dict(checkpoint.state.get("teachers", {}))
        self.steps.clear()
        self._tell(record)
        self._sent.append(epoch_to_line(record))
        if self._worker.rank == 0:
            state = {**checkpoint.state, "told": self._sent}
            self._writer.save(dataclasses.replace(checkpoint, state=state), self._folder)
        # Only the first worker looks, so that all of them stop after the same epoch.
        request = stop_requested(self._folder) if self._worker.rank == 0 else None
        mine = [float(request is not None), float(leaves(self._led_from))]
        is_stopped, is_leaving = self._worker.sum(torch.tensor(mine, dtype=torch.float64)).tolist()
        if is_stopped:
            raise request or StopTrial(End.PRUNED, "the first worker knows why")
        if is_leaving:
            raise HostLeaves(socket.gethostname() if leaves() else "a host of its workers")

    def say(self, note: str) -> None:
        """Tell people what the records do not say."""
        self._report({"note": note})

    def _tell(self, record: EpochRecord) -> None:
        report = {
            "record": record.to_json(),
            "place": _place(self._worker)
            | dict(zip(["began_with"], self._began_with, strict=False))
            | {f"teacher.{name}": sha256 for name, sha256 in self._taught.items()},
            "cores": dataclasses.asdict(CoreTime.now().since(self._before, self._worker.world)),
        }
        self._report(report)

    def _report(self, report: dict[str, Any]) -> None:
        if self._worker.world == 1:
            from ray import tune

            tune.report(report)  # returns when the driver has dealt with it
        else:
            import ray.train

            ray.train.report(report)


def _place(worker: Worker) -> dict[str, str]:
    """Where this process trains: tags of its trial."""
    return {"host": socket.gethostname(), "node": node_id()[:8], "device": worker.device.type}
