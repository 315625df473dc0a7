"""The parts of a training run and its two motions: an epoch of steps, and an evaluation of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raytune_planes.allocation import keep_freed_memory
from raytune_planes.arithmetic import set_up, sums_dtype
from raytune_planes.balancing.rules import BALANCERS
from raytune_planes.balancing.surgery import Surgery
from raytune_planes.catalog import primary_metric
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Arrays, described
from raytune_planes.datasets.folds import parted
from raytune_planes.datasets.loaders import Batch, BatchStream, TrainStream
from raytune_planes.datasets.pixels import Targets, pixels_of
from raytune_planes.network import Network
from raytune_planes.records import EpochRecord, metric
from raytune_planes.settings import flatten
from raytune_planes.tracking.validation import Predictions
from raytune_planes.training.average import Average
from raytune_planes.training.checkpoint import refuse_other
from raytune_planes.training.compiling import Compiling
from raytune_planes.training.evaluation import Evaluation
from raytune_planes.training.evidence_stopping import make_stopping
from raytune_planes.training.exchange import Gradients, begin_alike
from raytune_planes.training.feature_files import feature_streams, frozen_features
from raytune_planes.training.forward import Forward
from raytune_planes.training.left_out import LeftOut
from raytune_planes.training.measures import Measures, tasks_by_dataset, term_weights
from raytune_planes.training.mixing import Mixer
from raytune_planes.training.optim import make_optimizer, set_rate
from raytune_planes.training.prefetch import batches
from raytune_planes.training.reach import measured_only
from raytune_planes.training.schedule import Plateau, rate
from raytune_planes.training.start import freeze, learn
from raytune_planes.training.tally import Sums
from raytune_planes.training.teachers import Teachers
from raytune_planes.training.text_encoder import text_device, text_encoder
from raytune_planes.training.workers import Worker, seed_dropout

PARTS = ("model", "optimizer", "balancer", "mixer", "stopping")
"""What has a state of its own."""
LATER_PARTS = ("plateau", "average", "teachers")
"""The same, not in the oldest checkpoints."""


class Trainer:
    """Everything that changes while a trial trains. ``state_dict`` holds all of it."""

    def __init__(
        self, config: TrialConfig, data: Mapping[str, Arrays], prompts: Mapping[str, np.ndarray], worker: Worker
    ) -> None:
        keep_freed_memory()
        set_up(worker.device, config.devices.exact)
        self.config, self.worker = config, worker
        self.data = {name: parted(data[name], config.split) for name in config.active}
        self.pieces, self.epoch, self.step, self._drawn = 1, 0, 0, Counter[str]()
        rows = {name: torch.from_numpy(np.array(prompts[name])).to(worker.device) for name in self.data}
        infos = {name: arrays.info for name, arrays in self.data.items()}
        text_width = next(iter(rows.values())).shape[1]
        text = text_encoder(config, infos, worker)
        # The seed comes right before the weights are drawn, the same on every worker.
        torch.manual_seed(config.seed)
        self.model = Network(infos, config, text_width, text)
        self.model.take(config.model.backbone.weights)
        self._left_out = LeftOut(self.model.backbone, config.model)
        self.teachers = Teachers(config, self.model.tasks, infos, worker.device)
        self._frozen = freeze(self.model, config.frozen)
        begin_alike(self.model.to(worker.device), worker)
        self.compiling = Compiling(self.model.backbone, config.devices.compile, worker.device.type)
        self._forward = Forward(self.model, self.teachers, rows, worker, config)
        if text is not None:
            text.to(text_device(config.devices.text, worker))
        tasks = tasks_by_dataset(self.model.tasks, config)
        self._weights = term_weights(tasks, config)
        self.balancer = BALANCERS[config.balancing.rule](
            [task for task, weight in self._weights.items() if weight > 0], config.balancing
        )
        self.balancer.to(worker.device)
        learnt, datasets = list(self.balancer.parameters()), config.active
        # With several workers a rule that learns must see the same losses on each; the others wait for nothing.
        self._decides_on_losses = worker.world > 1 and bool(learnt or self.balancer.needs_after)
        self.optimizer = make_optimizer(self.model, learnt, config.optim, {"text.": config.text.lr_factor})
        self._gradients = Gradients(self.model.parameters(), worker)
        self._surgery = Surgery(self.model.parameters(), config.balancing, config.seed)
        self.average, self.plateau = Average(self.model, config.optim.ema), Plateau(config.optim, tuple(datasets))
        self.primary = {name: metric("val", name, primary_metric(name, d.reader)) for name, d in datasets.items()}
        targets = Targets(**{k: v for task in self.model.tasks.values() for k, v in task.targets().items()})
        self._pixels = pixels_of(self.data, datasets, worker.device, targets, config.devices)
        self._streams: dict[str, BatchStream] = {
            name: TrainStream(self.data[name], d, config.budget.batch_size, config.seed, self._pixels[name])
            for name, d in datasets.items()
        }
        sizes = {name: stream.size for name, stream in self._streams.items()}
        self.mixer = Mixer(config.mixing, config.stopping, {name: d.share for name, d in datasets.items()}, sizes)
        self.stopping = make_stopping(config, self.primary, lambda resting: self.mixer.shares(resting))
        self._measures = Measures(tasks, self._weights, worker)
        tasks_of, judges = self.model.tasks, (self._forward.judge, self._forward.say)
        self._evaluation = Evaluation(self.data, self._pixels, tasks_of, *judges, self._measures, worker)

    def begin(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Take the features of a frozen encoder that are kept, and have the model detach what no weighted term trains.
        Every worker must ask, before its first epoch. Raises UserError as ``frozen_features`` and ``measured_only``."""
        arithmetic = self._forward.arithmetic, self._forward.precision
        kept = frozen_features(self.config, self.model, self.data, self._pixels, self._streams, arithmetic, say)
        self.model.stored = self._evaluation.stored = kept
        self._streams |= feature_streams(kept, self._streams, self.config)
        learn(self.model, self._frozen)
        first = [stream.batch(0, 0, self.worker.world).to(self.worker.device) for stream in self._streams.values()]
        self.model.measured_only = measured_only(first, self._forward.judge, self._weights, self.config.frozen)

    def train_epoch(self, order: Sequence[str]) -> dict[str, float]:
        """Train one batch per entry of ``order``; returns ``train/...`` metrics over the epoch."""
        learn(self.model, self._frozen)
        self.epoch += 1
        seed_dropout(self.config.seed, self.worker, self.epoch)
        sums = self._measures.sums()
        optim, budget = self.config.optim, self.config.budget
        with batches(self._batch, self._numbered(order), self.worker.device) as coming:
            for i in range(0, len(order), optim.accumulate):
                self.worker.watch(i, len(order), i * budget.batch_size, partial(self._measures.loss, sums))
                names = order[i : i + optim.accumulate]
                now = rate(optim, (self.epoch - 1 + i / len(order)) / budget.epochs)
                set_rate(self.optimizer, now * sum(map(self.plateau.factor, names)) / len(names))
                self._train_step(names, coming, sums)
        metrics = self._measures.collect("train", sums)
        self.balancer.end_epoch({t: metrics[key] for t in self._weights if (key := f"train/{t}_loss") in metrics})
        return metrics

    def _numbered(self, order: Sequence[str]) -> list[tuple[str, int]]:
        """The datasets of ``order``, each with the number of its batch that comes next."""
        drawn, numbered = Counter(self._drawn), []
        for name in order:
            numbered.append((name, drawn[name]))
            drawn[name] += 1
        return numbered

    def _batch(self, name: str, number: int) -> Batch:
        return self._streams[name].batch(number, self.worker.rank, self.worker.world).to(self.worker.device)

    def _train_step(self, names: Sequence[str], coming: Iterator[Batch], sums: Mapping[str, Sums]) -> None:
        """One move of the weights, by the mean gradient of a batch of each of ``names``, which are next to come."""
        self.optimizer.zero_grad()
        batch, parts = None, list[dict[str, Tensor]]()
        for name in names:
            batch = next(coming)
            self._drawn[name] += 1
            self.step += 1
            for piece in batch.pieces(self.pieces):
                parts.append(self._backward(piece, sums[name], len(piece) / len(batch) / len(names)))
            if self._surgery.is_asked:  # it compares the datasets' own gradients
                self._gradients.average((name,))
                self._surgery.take(name)
        if batch is None or not any(parts):
            return
        if not self._surgery.is_asked:
            self._gradients.average(names)
        self._surgery.put(self.step)
        if self.config.optim.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optim.clip)
        self.optimizer.step()
        self.average.update()
        if self.balancer.needs_after:
            after = self._tasks(batch.dataset, torch.no_grad()(self._forward)(batch)[1])
            before = {task: torch.stack([part[task] for part in parts]).sum() for task in after}
            self.balancer.after_step(self._floats(before), self._floats(after))

    def _backward(self, piece: Batch, sums: Sums, share: float) -> dict[str, Tensor]:
        outputs, losses = self._forward(piece)
        sums.add(piece, outputs, losses, training=True)
        tasks = self._tasks(piece.dataset, losses)
        if tasks:  # else every term that applies has weight 0: measured, not trained
            shared = self._floats(tasks) if self._decides_on_losses else None
            (share * self.balancer.combine(tasks, self._weights, shared)).backward()
        return {task: share * loss.detach() for task, loss in tasks.items()}

    def evaluate(self, split: str, *, scenes: bool = True) -> dict[str, float]:
        """Metrics of every dataset on ``split``, also of its whole ``scenes``, named ``<split>/<dataset>/<metric>``."""
        self.model.eval()
        with self.average.in_place():
            self._forward.encode_prompts()
            return self._evaluation.run(split, scenes)

    def predictions(self) -> dict[str, Predictions]:
        """What the last evaluation said of each picture of its split. All workers must ask, and get the same."""
        return self._evaluation.predictions()

    def _tasks(self, dataset: str, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {task: v for term, v in losses.items() if self._weights[task := f"{dataset}/{term}"] > 0}

    def _floats(self, losses: Mapping[str, Tensor]) -> dict[str, float]:
        """The losses averaged over the workers; waits for the device."""
        summed = self.worker.sum(torch.stack([v.detach().to(sums_dtype(v.device)) for v in losses.values()]))
        return dict(zip(losses, (summed / self.worker.world).tolist(), strict=True))

    def state_dict(self, best: float) -> dict[str, Any]:
        """All that ``restore`` needs; ``best`` is the highest score so far."""
        return {
            "config": flatten(self.config),
            "best": best,
            "epoch": self.epoch,
            "step": self.step,
            "drawn": dict(self._drawn),
            **{part: getattr(self, part).state_dict() for part in (*PARTS, *LATER_PARTS)},
            **self._left_out.of("model", self.model.state_dict()),
        }

    def restore(self, state: Mapping[str, Any], source: str) -> float:
        """Go on from ``state``; returns the highest score so far.

        Raises:
            UserError: the state belongs to another configuration.
        """
        refuse_other(flatten(self.config), state, source)
        self.epoch, self.step, self._drawn = state["epoch"], state["step"], Counter(state["drawn"])
        for part in PARTS:
            getattr(self, part).load_state_dict(state[part])
        for part in LATER_PARTS:
            getattr(self, part).load_state_dict(state.get(part, {}))
        return float(state["best"])

    def use(self, weights: Mapping[str, Tensor]) -> None:
        """Take the weights of a ``best.pt``, to evaluate them."""
        self.model.load_state_dict(weights)
        self.average.begin()

    def weights(self) -> dict[str, Tensor]:
        """Those that are validated: the moving average where there is one."""
        with self.average.in_place():
            return self.model.state_dict()

    def model_state(self, record: EpochRecord) -> dict[str, Any]:
        """All that prediction needs, without the data: weights, settings, classes and prompt embeddings."""
        return {
            "config": flatten(self.config),
            **described(self.data),
            "teachers": self.teachers.digests,
            "prompts": {name: rows.cpu() for name, rows in self._forward.prompts.items()},
            **self._left_out.of("weights", self.weights()),
            "epoch": record.epoch,
            "metrics": dict(record.metrics),
        }
