"""That a training on the card is the CPU's: metrics, waits, noise, resume, and low precision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._pytree import tree_map

from raytune_planes.config import Augment
from raytune_planes.datasets import transforms
from raytune_planes.datasets.loaders import Batch
from raytune_planes.training.tally import Sums
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker, Worker
from tests.card import Card
from tests.gpu.cases import CASES, ENCODERS, LOSS, TOLERANCE, WAITING
from tests.gpu.place import Found, Place
from tests.toy import toy_config, toy_data, toy_prompts

ORDER = ("fgvc", "hrplanes", "planesnet", "fgvc")
BF16 = 0.1
"""Of losses of about 1 after 24 steps: 8 bits of mantissa in products, whose sums are float32."""


def trained(
    worker: Worker, settings: Mapping[str, Any], epochs: int = 2, order: Sequence[str] = ORDER
) -> tuple[dict[str, float], Trainer]:
    """The losses after ``epochs`` of training, and of the validation set; exact unless ``settings`` say otherwise."""
    config = toy_config(**{"devices__exact": True, "budget__epochs": epochs, **settings})
    trainer = Watched(config, toy_data(), toy_prompts(), worker)
    trainer.begin()
    found: dict[str, float] = {}
    for _ in range(epochs):
        found |= trainer.train_epoch(order)
    return losses(found | trainer.evaluate("val", scenes=False)), trainer


def losses(found: Mapping[str, float]) -> dict[str, float]:
    """Those metrics that move with every bit; of eight pictures an accuracy moves in eighths."""
    return {key: value for key, value in found.items() if key.endswith(("_loss", "cross_entropy"))}


def furthest(found: Mapping[str, float], expected: Mapping[str, float]) -> float:
    """The largest difference; infinite where metrics are missing or no numbers."""
    if found.keys() != expected.keys() or not expected:
        return float("inf")
    apart = [abs(found[key] - value) for key, value in expected.items()]
    return max(apart) if all(a == a for a in apart) else float("inf")


class Watched(Trainer):
    """On an NVIDIA GPU an operation within a step that waits for the card raises, if ``watched``."""

    watched = False

    def _train_step(self, names: Sequence[str], coming: Iterator[Batch], sums: Mapping[str, Sums]) -> None:
        if not (self.watched and self.worker.device.type == "cuda"):
            return super()._train_step(names, coming, sums)
        torch.cuda.set_sync_debug_mode("error")
        try:
            return super()._train_step(names, coming, sums)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def waits(place: Place) -> Found:
    """Each case for three epochs, of which the first finds kernels and takes memory unwatched."""
    cases = {"the defaults": CASES["the defaults"]} if place.dry else CASES
    steps = 0
    for settings in cases.values():
        with place.entered() as card:
            _, trainer = trained(place.worker(), {**settings, "devices__exact": False}, epochs=1)
            assert isinstance(trainer, Watched)
            trainer.watched = True
            trainer.train_epoch(ORDER)
            trainer.train_epoch(ORDER)
        steps += 2 * len(ORDER)
        if isinstance(card, Card) and card.in_steps:
            return Found(False, f"{len(card.in_steps)} waits, the first by {card.in_steps[0].place}")
    return Found(True, f"none in {steps} steps of {len(cases)} cases", {"waits": 0.0, "steps": float(steps)})


def metrics(place: Place) -> Found:
    """Losses of every case, exact on the card, beside the CPU's."""
    cases: Mapping[str, Mapping[str, Any]] = {**CASES, **WAITING, **ENCODERS}
    if place.dry:
        cases = {name: cases[name] for name in ("the defaults", "gradient surgery")}
    apart, failed = dict[str, float](), []
    for name, settings in cases.items():
        expected, _ = trained(LocalWorker("cpu"), settings)
        with place.entered():
            found, _ = trained(place.worker(), settings)
        apart[name] = furthest(found, expected)
        if apart[name] > TOLERANCE.get(name, LOSS):
            failed.append(f"{name} by {apart[name]:.3g}")
    worst = max(apart, key=lambda name: apart[name])
    text = f"losses of {len(cases)} cases differ by at most {apart[worst]:.2g} ({worst}); allowed are {LOSS:g}"
    return Found(not failed, f"{text}; too far: {', '.join(failed)}" if failed else text, apart)


def noise(place: Place) -> Found:
    """A card draws noise and elastic moves of its own: their deviation is to be what is asked, and to repeat."""
    grey, settings = torch.full((64, 3, 64, 64), 0.5, device=place.device), Augment(noise=0.1, flips=False)
    settings = settings.model_copy(update={"rotate": 0.0, "scale": 0.0, "shift": 0.0, "color": 0.0})
    both = [transforms.augment(grey, None, settings, torch.Generator().manual_seed(0))[0] for _ in range(2)]
    deviation, middle = float((both[0] - 0.5).std()), float(both[0].mean())
    held = abs(deviation - 0.1) < 0.002 and abs(middle - 0.5) < 0.002 and torch.equal(*both)
    return Found(held, f"deviation {deviation:.4f} of 0.1, mean {middle:.4f} of 0.5, the same when drawn again")


def resume(place: Place) -> Found:
    """An epoch after a checkpoint, beside the same epoch without one."""
    with place.entered():
        _, straight = trained(place.worker(), {}, epochs=1)
        state = tree_map(_on_disk, straight.state_dict(0))
        expected = losses(straight.train_epoch(ORDER) | straight.evaluate("val", scenes=False))
        again = Trainer(straight.config, toy_data(), toy_prompts(), place.worker())
        again.restore(state, "the checkpoint")
        again.begin()
        found = losses(again.train_epoch(ORDER) | again.evaluate("val", scenes=False))
    apart = furthest(found, expected)
    return Found(apart < 1e-5, f"losses of the epoch after it differ by {apart:.2g}", {"apart": apart})


def _on_disk(value: Any) -> Any:
    """As a checkpoint holds it."""
    return value.detach().cpu().clone() if isinstance(value, torch.Tensor) else value


def low_precision(place: Place) -> Found:
    """Losses after six epochs in the arithmetic of a card by default, beside exact ones."""
    settings = {"devices__exact": False, "optim__lr": 1e-3} | ({"precision": "bfloat16"} if place.dry else {})
    worker = LocalWorker(place.device)  # a CPU computes in bfloat16 where it is asked to
    quick, trainer = trained(worker, settings, epochs=6)
    exact, _ = trained(worker, {"optim__lr": 1e-3}, epochs=6)
    named, apart = trainer._forward.precision, furthest(quick, exact)
    return Found(apart < BF16, f"{named}: losses differ by at most {apart:.3g}; allowed are {BF16}", {"apart": apart})
