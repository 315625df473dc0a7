"""Our trainer's steps beside a loop written by hand and beside Lightning's, on the same model, batches and losses."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from raytune_planes.arithmetic import autocast, precision
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.loaders import Batch, TrainStream
from raytune_planes.datasets.pixels import Targets, pixels_of
from raytune_planes.network import Network
from raytune_planes.tasks.terms import terms
from raytune_planes.training.optim import make_optimizer, set_rate
from raytune_planes.training.schedule import rate
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker, Worker
from tests.benchmarks import workload
from tests.benchmarks.measuring import in_turn, ratio
from tests.benchmarks.tables import Aim, Table

STEPS = 12


class Task:
    """What the three loops share: model, streams of batches, weights of the losses, order of the datasets."""

    def __init__(
        self,
        config: TrialConfig,
        data: Mapping[str, Arrays],
        rows: Mapping[str, np.ndarray],
        device: torch.device | str = "cpu",
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.device = torch.device(device)
        self.low = precision(config.precision, config.devices.exact, self.device) == "bfloat16"
        self.model = Network({n: a.info for n, a in data.items()}, config, workload.TEXT_WIDTH).to(self.device)
        self.prompts = {name: torch.from_numpy(row).to(self.device) for name, row in rows.items()}
        batch, pixels = config.budget.batch_size, pixels_of(data, config.active, self.device, Targets())
        self.streams = {n: TrainStream(data[n], d, batch, config.seed, pixels[n]) for n, d in config.active.items()}
        ours = make_optimizer(self.model, (), config.optim).param_groups
        groups = [{k: g[k] for k in ("params", "weight_decay", "factor")} for g in ours]
        self.optimizer = torch.optim.AdamW(groups, lr=config.optim.lr, fused=self.device.type in ("cpu", "cuda"))
        self.order = tuple(list(data)[i % len(data)] for i in range(STEPS))
        self.drawn = dict.fromkeys(data, 0)

    def batches(self) -> Iterator[Batch]:
        for name in self.order:
            yield self.streams[name].batch(self.drawn[name]).to(self.device)
            self.drawn[name] += 1

    def loss(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        with autocast(self.device, self.low):
            answers = self.model(batch.dataset, batch.image_BCHW)
        found = terms(self.model.tasks, answers, batch, self.prompts[batch.dataset])
        weights = {name: getattr(self.config.losses, name).weight for name in found}
        return sum(weights[n] * v for n, v in found.items()), answers["classification"].logits_BK  # type: ignore[return-value]


def by_hand(task: Task) -> Callable[[], None]:
    """The loop of a tutorial: forward, backward, step, and a running loss and accuracy."""
    optim = task.config.optim

    def epoch() -> None:
        task.model.train()
        seen, right, total = 0, torch.zeros((), device=task.device), torch.zeros((), device=task.device)
        for i, batch in enumerate(task.batches()):
            set_rate(task.optimizer, rate(optim, i / STEPS))
            loss, logits_BK = task.loss(batch)
            task.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), optim.clip)
            task.optimizer.step()
            seen += len(batch)
            right += (logits_BK.detach().argmax(1) == batch.label_B).sum()
            total += loss.detach() * len(batch)
        assert seen == STEPS * task.config.budget.batch_size
        assert float(right) <= seen
        assert float(total) > 0

    return epoch


def ours(
    config: TrialConfig, data: Mapping[str, Arrays], rows: Mapping[str, np.ndarray], worker: Worker | None = None
) -> Callable[[], None]:
    """A whole ``train_epoch`` with all of its metrics, in the same order of datasets."""
    trainer = Trainer(config, data, rows, worker or LocalWorker("cpu"))
    order = tuple(list(data)[i % len(data)] for i in range(STEPS))
    return lambda: trainer.train_epoch(order) and None


def lightning(task: Task) -> Callable[[], None] | None:
    """Lightning's Trainer with progress bar, logger and checkpoints off; None where it is not installed."""
    try:
        import lightning as pl
    except ImportError:
        return None
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    optim = task.config.optim

    class Module(pl.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.model = task.model

        def training_step(self, batch: Batch, index: int) -> torch.Tensor:
            set_rate(task.optimizer, rate(optim, index / STEPS))
            loss, logits_BK = task.loss(batch)
            self.log("loss", loss, on_step=False, on_epoch=True, batch_size=len(batch))
            right = (logits_BK.detach().argmax(1) == batch.label_B).float().mean()
            self.log("accuracy", right, on_step=False, on_epoch=True, batch_size=len(batch))
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return task.optimizer

    class Batches(torch.utils.data.IterableDataset[Batch]):
        def __iter__(self) -> Iterator[Batch]:
            return task.batches()

    module = Module()
    quiet: dict[str, Any] = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar"), False)

    def epoch() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer.fit_loop.max_epochs += 1
            trainer.fit(module, torch.utils.data.DataLoader(Batches(), batch_size=None))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="gpu" if task.device.type == "cuda" else "cpu",
            devices=1,
            max_epochs=0,
            gradient_clip_val=optim.clip,
            enable_model_summary=False,
            **quiet,
        )
    return epoch


def measure(quick: bool) -> Table:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        config = workload.config()
        data = workload.pictures(config)
        rows = workload.prompts(data)
        loops = {"by hand": by_hand(Task(config, data, rows)), "ours": ours(config, data, rows)}
        if other := lightning(Task(config, data, rows)):
            loops["Lightning"] = other
        seconds = in_turn(loops, 8 if quick else 40)
    finally:
        torch.set_num_threads(threads)
    images = STEPS * config.budget.batch_size
    figures = {name: ratio(seconds["by hand"], own) for name, own in seconds.items()}
    rows_shown = [(n, f"{images / sorted(s)[len(s) // 2]:.0f}", f"{figures[n]:.3f}") for n, s in seconds.items()]
    aims = [Aim("images per processor-second, ours / by hand", figures["ours"], 0.97, at_least=True)]
    notes = [f"median of {len(seconds['ours'])} rounds in turn; {STEPS} steps a round, one thread"]
    if "Lightning" in figures:
        ahead = ratio(seconds["Lightning"], seconds["ours"])
        aims.append(Aim("images per processor-second, ours / Lightning", ahead, 1.0, at_least=True))
    else:
        notes.append("Lightning is not installed: uv run --group bench")
    header = ("loop", "images/s", "of by hand")
    return Table("training loop", header, rows_shown, figures, notes, aims)
