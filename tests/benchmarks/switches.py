"""What each switch of the loop buys on this processor: bf16, channels-last, fused AdamW, torch.compile."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from raytune_planes.datasets.base import Arrays
from raytune_planes.training.optim import make_optimizer
from tests.benchmarks import workload
from tests.benchmarks.loop import STEPS, Task
from tests.benchmarks.measuring import in_turn, ratio
from tests.benchmarks.tables import Table


def plain(data: Mapping[str, Arrays], rows: Mapping[str, np.ndarray], **settings: Any) -> Task:
    """The task with every switch off: float32, the memory layout of the batch, AdamW tensor by tensor in groups."""
    task = Task(workload.config(**settings), data, rows)
    task.model.to(memory_format=torch.contiguous_format)
    task.model.backbone.stem.register_forward_pre_hook(lambda _, inputs: (inputs[0].contiguous(),))
    task.optimizer = optimizer(task, foreach=True)
    return task


def optimizer(task: Task, **options: bool) -> torch.optim.Optimizer:
    settings = task.config.optim
    groups = make_optimizer(task.model, (), settings).param_groups
    kept = [{"params": g["params"], "weight_decay": g["weight_decay"]} for g in groups]
    return torch.optim.AdamW(kept, lr=settings.lr, **options)


def channels_last(task: Task) -> Task:
    task.model.to(memory_format=torch.channels_last)
    task.model.backbone.stem._forward_pre_hooks.clear()
    return task


def fused(task: Task) -> Task:
    task.optimizer = optimizer(task, fused=True)
    return task


def compiled(task: Task) -> Task:
    task.model = torch.compile(task.model, dynamic=False)  # type: ignore[assignment]
    return task


def steps(task: Task, low: bool) -> Callable[[], None]:
    def run() -> None:
        task.model.train()
        for batch in task.batches():
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
                loss, _ = task.loss(batch)
            task.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(task.model.parameters(), task.config.optim.clip)
            task.optimizer.step()

    return run


def measure(quick: bool) -> Table:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    config = workload.config()
    data = workload.pictures(config)
    rows = workload.prompts(data)

    def fresh() -> Task:
        return plain(data, rows)

    variants = {
        "all off": steps(fresh(), False),
        "channels-last": steps(channels_last(fresh()), False),
        "fused AdamW": steps(fused(fresh()), False),
        "bf16": steps(fresh(), True),
        "bf16, channels-last, fused": steps(fused(channels_last(fresh())), True),
    }
    compile_s = {}
    for name, low in () if quick else (("compile", False), ("compile, bf16", True)):
        run = steps(compiled(fused(channels_last(fresh()))), low)
        before = time.process_time()
        run()
        compile_s[name] = time.process_time() - before
        variants[name] = run
    try:
        seconds = in_turn(variants, 6 if quick else 10)
    finally:
        torch.set_num_threads(threads)
    images = STEPS * config.budget.batch_size
    figures = {name: ratio(seconds["all off"], own) for name, own in seconds.items()}
    shown = [(n, f"{images / statistics.median(s):.0f}", f"{figures[n]:.2f}") for n, s in seconds.items()]
    notes = []
    base = {"compile": "all off", "compile, bf16": "bf16, channels-last, fused"}
    for name, first in compile_s.items():
        slow, fast = (statistics.median(seconds[n]) / images for n in (base[name], name))
        pays = f"pays after {first / (slow - fast):,.0f} images" if slow > fast else "never pays"
        figures[f"{name}: seconds before the first step"] = first
        notes.append(f"{name}: {first:.0f} s to compile, {pays} against {base[name]}")
    return Table("switches", ("switch", "images/s", "times all off"), shown, figures, notes)
