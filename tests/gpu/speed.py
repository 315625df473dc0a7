"""Images a second of training on the card, beside a loop by hand and Lightning's; what compilation costs and saves."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from raytune_planes.arithmetic import set_up
from raytune_planes.training.cards import GIB
from raytune_planes.training.compiling import COST_S, SAVED
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.benchmarks import loop, workload
from tests.gpu.place import Found, Place, Skipped

BATCH, ROUNDS = 128, 5
AIM, AIM_LIGHTNING = 0.97, 1.0
NETWORKS: Mapping[str, tuple[str, int]] = {
    "default 64 px": ("residual", 64),
    "Lite0 64 px": ("efficientnet_lite0", 64),
    "Lite0 224 px": ("efficientnet_lite0", 224),
}
DRY: Mapping[str, tuple[str, int]] = {"default 64 px": ("residual", 16)}
"""The same code on a CPU, with pictures that it goes through quickly."""


def by_hand(place: Place) -> Found:
    """Beside the loop of a tutorial, on the same model, batches and losses."""
    return _beside(place, "by hand", loop.by_hand, AIM)


def lightning(place: Place) -> Found:
    """Beside Lightning's trainer, likewise."""
    if importlib.util.find_spec("lightning") is None:
        raise Skipped("lightning is not installed")
    return _beside(place, "Lightning", loop.lightning, AIM_LIGHTNING)


def _beside(place: Place, other: str, make: Callable[[loop.Task], Callable[[], object] | None], aim: float) -> Found:
    """Medians of rounds in turn; a round is ``loop.STEPS`` steps, and ends when the card has done them."""
    figures, failed = dict[str, float](), []
    for name, (kind, side) in (DRY if place.dry else NETWORKS).items():
        config, data, rows = _work(place, kind, side)
        if not place.dry:
            torch.cuda.reset_peak_memory_stats()
        # Lightning moves a model to devices that it knows, which a played card is not.
        worker = LocalWorker(place.device) if other == "Lightning" else place.worker()
        with nullcontext() if other == "Lightning" else place.entered():
            set_up(worker.device, exact=False)
            theirs = make(loop.Task(config, data, rows, worker.device))
            assert theirs is not None
            loops = {other: theirs, "ours": loop.ours(config, data, rows, worker)}
            rates = _in_turn(place, loops, loop.STEPS * config.budget.batch_size)
        figures |= {f"{name}, {loop_name}, images/s": rate for loop_name, rate in rates.items()}
        figures[f"{name}, ours / {other}"] = ratio = rates["ours"] / rates[other]
        failed += [f"{name}: {ratio:.3f} of {other}"] if ratio < aim and not place.dry else []
        if not place.dry:
            figures[f"{name}, peak GiB"] = torch.cuda.max_memory_allocated() / GIB
            torch.cuda.empty_cache()
    text = "; ".join(f"{key} {value:.3g}" for key, value in figures.items() if "ours" in key)
    return Found(not failed, f"{text}; below the aim: {', '.join(failed)}" if failed else text, figures)


def compilation(place: Place) -> Found:
    """Of each network, as far as time allows: what compiling its encoder costs, and saves of an epoch with validation.

    From these follow the two constants that ``devices.compile = auto`` decides by; and for the default network what
    CUDA graphs would save beyond, which the package does not use.
    """
    figures, costs, saved = dict[str, float](), [COST_S], list[float]()
    with _not_compiled() if place.dry else nullcontext():
        for name, (kind, side) in (DRY if place.dry else NETWORKS).items():
            if not place.dry and place.left_s < 2 * max(costs):
                break
            plain, compiled = (_Epoch(place, kind, side, devices__compile=setting) for setting in ("no", "yes"))
            costs.append(cost := max(0.0, compiled.first_s - plain.first_s))
            loops: dict[str, Callable[[], object]] = {"plain": plain, "compiled": compiled}
            if name == "default 64 px":
                graphs = _Epoch(place, kind, side, mode="reduce-overhead")
                loops |= {} if graphs.trouble else {"with CUDA graphs": graphs}
                figures[f"{name}, CUDA graphs failed"] = float(bool(graphs.trouble))
            rates = _in_turn(place, loops, loop.STEPS * (8 if place.dry else BATCH))
            saved.append(1 - rates["plain"] / rates["compiled"])
            figures |= {f"{name}, {how}, images/s with validation": rate for how, rate in rates.items()}
            figures |= {f"{name}, compiling costs, s": cost, f"{name}, compiling saves": saved[-1]}
    if not saved:
        raise Skipped(f"{place.left_s:.0f} s are left, and compiling may take {COST_S:.0f}")
    figures |= {"suggested COST_S": max(costs[1:]), "suggested SAVED": max(0.0, min(saved))}
    text = f"measured COST_S = {max(costs[1:]):.0f}, SAVED = {max(0.0, min(saved)):.2f} of {len(saved)} networks: "
    return Found(True, f"{text}set them in training/compiling.py, which has {COST_S:.0f} and {SAVED:.2f}", figures)


class _Epoch:
    """Called, it trains an epoch and validates; ``first_s`` is what the first one took, which compiles."""

    def __init__(self, place: Place, kind: str, side: int, mode: str = "", **settings: Any) -> None:
        """``mode``: of ``torch.compile``, beyond what the settings ask for."""
        config, data, rows = _work(place, kind, side, **settings)
        self._trainer = Trainer(config, data, rows, LocalWorker(place.device))
        self._order = [list(data)[i % len(data)] for i in range(loop.STEPS)]
        self.trouble = ""
        if mode:
            self._trainer.model.backbone.compile(mode=mode)
        place.wait()
        began = time.perf_counter()
        try:
            self()
        except RuntimeError as error:
            if not mode:
                raise
            self.trouble = str(error)
        place.wait()
        self.first_s = time.perf_counter() - began

    def __call__(self) -> None:
        self._trainer.train_epoch(self._order)
        self._trainer.evaluate("val", scenes=False)


def _not_compiled() -> AbstractContextManager[object]:
    """What is to be compiled runs as it is: a compiler for CPUs says nothing of a card, and takes minutes."""
    stance: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
    return stance


def _work(place: Place, kind: str, side: int, **more: Any) -> tuple[Any, Any, Any]:
    """Settings, pictures and prompts."""
    sides = {f"datasets__{name}__image_size": side for name in workload.CLASSES}
    small = {"model__backbone__width": 8, "model__dit__heads": 2} if place.dry else {}
    batch = 8 if place.dry else BATCH
    config = workload.config(model__backbone__kind=kind, budget__batch_size=batch, **sides, **small, **more)
    data = workload.pictures(config, images=60 if place.dry else 1200)
    return config, data, workload.prompts(data)


def _in_turn(place: Place, loops: Mapping[str, Callable[[], object]], images: int) -> dict[str, float]:
    """Images a second of each loop; the first round finds kernels and is not counted."""
    names, seconds = list(loops), {name: list[float]() for name in loops}
    for turn in range(2 if place.dry else 1 + ROUNDS):
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            place.wait()
            began = time.perf_counter()
            loops[name]()
            place.wait()
            seconds[name] += [time.perf_counter() - began] if turn else []
    return {name: images / statistics.median(own) for name, own in seconds.items()}
