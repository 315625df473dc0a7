"""A training's part of a card's memory, and the figures that it tells of it."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from raytune_planes.records import EpochRecord, split_metric
from raytune_planes.terminal.board import card_of
from raytune_planes.tracking.mlflow_fields import epoch_points
from raytune_planes.training.cards import GIB, OUTSIDE, CardUse, limit_memory
from raytune_planes.tuning.failures import NO_MEMORY, explain
from tests.toy import toy_config
from tests.training.test_loop import Recorder, run

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_a_trial_may_take_its_share_of_a_card_and_a_whole_one_where_it_holds_several(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits: list[tuple[float, int | None]] = []
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: limits.append((share, device))
    )
    card = SimpleNamespace(total_memory=80 * GIB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    for share in (0.25, 1.0, 2.0):
        limit_memory(GPU, share)
        limit_memory(CPU, share)
    limit_memory(torch.device("cuda", 3), 0.5)
    assert limits == [(19.25 / 80, None), (1.0, None), (1.0, None), (39.25 / 80, 3)], "None is the current one"
    assert 4 * limits[0][0] * 80 * GIB + 4 * OUTSIDE == 80 * GIB, "four trials fit with their contexts"
    card.total_memory = 4 * GIB
    limit_memory(GPU, 0.25)
    assert limits[-1] == (0.125, None), "half of a small share"


class NoFigure(Exception):
    """As nvidia-ml-py raises of a part of a GPU."""


@pytest.mark.parametrize("error", [NoFigure("Not Supported"), RuntimeError("cuda driver can't be loaded")])
def test_a_card_that_does_not_tell_how_busy_it_is_ends_no_trial(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def utilization(device: torch.device) -> int:
        raise error

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(NVMLError=NoFigure))  # type: ignore[arg-type]
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    assert CardUse(GPU).figures(20480).keys() == {"card/images_per_second", "card/memory_gib"}


@pytest.mark.parametrize("busy", [0.87, None])
def test_an_epoch_tells_of_its_card_in_the_terminal_and_in_mlflow(
    busy: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def utilization(device: torch.device) -> int:
        if busy is None:
            raise ModuleNotFoundError("nvidia-ml-py does not seem to be installed or it can't be imported.")
        return round(100 * busy)

    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 3 * GIB)
    monkeypatch.setattr(torch.cuda, "utilization", utilization)
    monkeypatch.setattr("time.perf_counter", iter((10.0, 14.0)).__next__)
    figures = CardUse(GPU).figures(20480)
    expected = {"card/images_per_second": 5120.0, "card/memory_gib": 3.0}
    assert figures == expected | ({} if busy is None else {"card/busy": 0.87})
    assert not any(split_metric(key) for key in figures), "reports take them for no dataset's"
    record = replace(EpochRecord(1, 2, 16, {}), metrics=figures)
    words = "5120 images/s, 3.0 GiB of the card"
    assert card_of(record) == words + ("" if busy is None else ", 87 % busy")
    assert {(key, value) for key, value, *_ in epoch_points(record)} >= set(figures.items())


def test_an_epoch_on_a_cpu_tells_of_no_card() -> None:
    seen = Recorder()
    run(toy_config(budget__epochs=1), seen)
    assert not any(key.startswith("card/") for key in seen.records[0].metrics)
    assert card_of(seen.records[0]) == ""


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_every_lack_of_memory_is_known_so_that_the_trial_is_tried_with_half_the_batch(error: RuntimeError) -> None:
    assert explain(error).startswith(f"{NO_MEMORY}: ")
