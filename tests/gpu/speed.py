"""Images a second of training on the card, beside a loop by hand and Lightning's, with and without compilation."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from raytune_planes.arithmetic import set_up
from raytune_planes.training.cards import GIB
from raytune_planes.training.trainer import Trainer
from tests.benchmarks import loop, workload
from tests.gpu.place import Found, Place

BATCH, ROUNDS = 128, 5
AIM, AIM_LIGHTNING = 0.97, 1.0
NETWORKS: Mapping[str, tuple[str, int]] = {
    "default 64 px": ("residual", 64),
    "Lite0 64 px": ("efficientnet_lite0", 64),
    "Lite0 224 px": ("efficientnet_lite0", 224),
}
COMPILE_S = 90.0
"""A compiled variant is measured where so much time is left."""


def measure(place: Place) -> Found:
    """Medians of rounds in turn; a round is ``loop.STEPS`` steps, and ends when the card has done them."""
    figures, failed = dict[str, float](), []
    networks = {"default 64 px": ("residual", 16)} if place.dry else NETWORKS
    for name, (kind, side) in networks.items():
        config = _config(kind, side, 8 if place.dry else BATCH)
        rates = _rates(place, config, name)
        figures |= {f"{name}, {loop_name}, images/s": rate for loop_name, rate in rates.items()}
        for other, aim in (("by hand", AIM), ("Lightning", AIM_LIGHTNING)):
            if other in rates:
                figures[f"{name}, ours / {other}"] = ratio = rates["ours"] / rates[other]
                failed += [f"{name}: {ratio:.3f} of {other}"] if ratio < aim and not place.dry else []
        if not place.dry:
            figures[f"{name}, peak GiB"] = torch.cuda.max_memory_allocated() / GIB
            torch.cuda.empty_cache()
    if not place.dry:
        figures |= _compiled(place, figures)
    text = "; ".join(f"{key} {value:.3g}" for key, value in figures.items() if "ours" in key)
    return Found(not failed, f"{text}; below the aim: {', '.join(failed)}" if failed else text, figures)


def _config(kind: str, side: int, batch: int, **more: Any) -> Any:
    sides = {f"datasets__{name}__image_size": side for name in workload.CLASSES}
    small = {"model__backbone__width": 8, "model__dit__heads": 2} if batch == 8 else {}
    return workload.config(model__backbone__kind=kind, budget__batch_size=batch, **sides, **small, **more)


def _rates(place: Place, config: Any, name: str) -> dict[str, float]:
    data = workload.pictures(config, images=60 if place.dry else 1200)
    rows = workload.prompts(data)
    if not place.dry:
        torch.cuda.reset_peak_memory_stats()
    with place.entered():
        worker = place.worker()
        set_up(worker.device, exact=False)
        loops: dict[str, Callable[[], object]] = {
            "by hand": loop.by_hand(loop.Task(config, data, rows, worker.device)),
            "ours": loop.ours(config, data, rows, worker),
        }
        if not place.dry and (other := loop.lightning(loop.Task(config, data, rows, worker.device))):
            loops["Lightning"] = other
        return _in_turn(place, loops, loop.STEPS * config.budget.batch_size)


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


def _compiled(place: Place, figures: Mapping[str, float]) -> dict[str, float]:
    """Of each network, as far as time allows: images a second, and what compiling cost."""
    found = dict[str, float]()
    for name, (kind, side) in NETWORKS.items():
        if place.left_s < 2 * COMPILE_S:
            break
        config = _config(kind, side, BATCH, devices__compile="yes")
        data = workload.pictures(config)
        trainer = Trainer(config, data, workload.prompts(data), place.worker())
        order = [list(data)[i % len(data)] for i in range(loop.STEPS)]
        began = time.perf_counter()
        trainer.train_epoch(order)
        found[f"{name}, first epoch compiled, s"] = time.perf_counter() - began
        ours = {"compiled": partial(trainer.train_epoch, order)}
        rate = _in_turn(place, ours, loop.STEPS * BATCH)["compiled"]
        found[f"{name}, ours compiled, images/s"] = rate
        found[f"{name}, ours compiled / not"] = rate / figures[f"{name}, ours, images/s"]
    return found
