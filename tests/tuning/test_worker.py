"""Two processes of a group train as one would: the same parameters on both, and the same as alone."""

from __future__ import annotations

import json
import socket
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord
from raytune_planes.tracking.validation import read_validation
from raytune_planes.training import workers
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.folds import train_trial
from raytune_planes.training.loop import train
from raytune_planes.training.workers import LocalWorker, Worker, why_no_gpu
from raytune_planes.tuning.worker import RayWorker, backend, make_worker
from tests.berts import tiny_bert
from tests.toy import toy_config, toy_data, toy_prompts
from tests.tuning.tiny import GOAL

TOLERANCE = 2e-5
"""Of a parameter: sums of float32 in another order. Measured: 4e-6 after one epoch, 9e-6 after two."""


class GroupWorker(RayWorker):
    """A Ray worker's exchanges in a process group that Ray did not start."""

    def __init__(self, rank: int, world: int) -> None:
        self.rank, self.world, self.device = rank, world, torch.device("cpu")


def _train(rank: int, world: int, port: int, folder: str, bert: str = "", sharing: str = "trunk") -> None:
    torch.set_num_threads(1)
    worker: Worker = LocalWorker("cpu")
    if world > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
        worker = GroupWorker(rank, world)
        rows = torch.full((2, 3), float(rank), requires_grad=True)
        gathered = worker.gather(rows)
        (gathered * torch.arange(1.0, 2 * world + 1)[:, None]).sum().backward()
        assert rows.grad is not None
        np.savez(f"{folder}/gather-{rank}.npz", rows=gathered.detach(), gradient=rows.grad)
        # A term that is measured and not trained has parameters that nobody's gradient reaches: no worker waits for it.
        idle = {"losses__contrastive__weight": 0.0, "datasets__hrplanes__weight": 0.0}
        train(toy_config(budget__epochs=1, **idle), toy_data(), toy_prompts(), GOAL, worker=worker, report=_nothing)
    dropout = {f"datasets__{name}__head__dropout": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    # Weights that are learnt outside of the model must be averaged as well.
    tasks = {"losses__reconstruction__weight": 0.5, "losses__detection__weight": 0.5}
    # Adam's first steps make whole steps of a gradient that is rounding, and copies have few: these move by SGD.
    own = {} if sharing == "trunk" else {"model__sharing": sharing, "optim__kind": "sgd", "optim__lr": 0.02}
    config = toy_config(budget__epochs=1, balancing__rule="uncertainty", **dropout, **tasks, **own)
    if bert:
        text = {"text__model": bert, "text__freeze": False, "text__lr_factor": 1.0}
        config = toy_config(budget__epochs=1, **dropout, **text)

    def keep(_: object, checkpoint: Checkpoint) -> None:
        np.savez(f"{folder}/{world}-{rank}.npz", **{k: v.numpy() for k, v in checkpoint.state["model"].items()})

    train(config, toy_data(), toy_prompts(width=32), GOAL, worker=worker, report=keep)
    if world > 1:
        dist.destroy_process_group()


def _nothing(*_: object) -> None:
    """Of what is reported."""


@pytest.mark.slow
def test_two_workers_end_an_epoch_with_equal_parameters_which_are_those_of_one_worker(tmp_path: Path) -> None:
    mp.spawn(_train, args=(2, port := _free_port(), str(tmp_path)), nprocs=2)
    _train(0, 1, port, str(tmp_path))
    _assert_trained_alike(tmp_path)
    for rank in (0, 1):
        told = np.load(tmp_path / f"gather-{rank}.npz")
        np.testing.assert_array_equal(told["rows"][:, 0], [0, 0, 1, 1])
        # Two workers, each with the same loss over all rows: its gradient twice.
        np.testing.assert_array_equal(told["gradient"][:, 0], 2 * np.array([2 * rank + 1, 2 * rank + 2]))


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["adapters", "stage", "own"])
def test_two_workers_train_what_is_of_one_dataset_alone(tmp_path: Path, sharing: str) -> None:
    mp.spawn(_train, args=(2, port := _free_port(), str(tmp_path), "", sharing), nprocs=2)
    _train(0, 1, port, str(tmp_path), "", sharing)
    part = "adapters" if sharing == "adapters" else "own"
    assert any(key.startswith(f"{part}.fgvc.") for key in _assert_trained_alike(tmp_path))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # swig types inside the tokenizer's library
def test_two_workers_train_one_text_encoder(tmp_path: Path) -> None:
    bert = str(tiny_bert(tmp_path / "bert"))
    # One of them here, for the second import of transformers takes longest.
    other = mp.get_context("spawn").Process(target=_train, args=(1, 2, port := _free_port(), str(tmp_path), bert))
    other.start()
    try:
        _train(0, 2, port, str(tmp_path), bert)
        other.join()
    finally:
        other.kill()
    _train(0, 1, port, str(tmp_path), bert)
    assert any(key.startswith("text.") for key in _assert_trained_alike(tmp_path))


class CountingWorker(GroupWorker):
    """Counts the exchanges of gradients: of all that is added up they alone have the size of a model's weights."""

    def __init__(self, rank: int, world: int) -> None:
        super().__init__(rank, world)
        self.exchanges = -1  # the weights to begin with are exchanged as well

    def sum(self, values_N: torch.Tensor) -> torch.Tensor:
        self.exchanges += len(values_N) > 1000
        return super().sum(values_N)


def _train_accumulated(rank: int, world: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    still = {f"datasets__{name}__head__dropout": 0.0 for name in ("planesnet", "hrplanes", "fgvc")}
    moves = {"optim__kind": "sgd", "optim__lr": 0.02, "datasets__hrplanes__weight": 0.0}
    exchanges = {}
    for accumulate in (1, 3):
        worker = CountingWorker(rank, world) if world > 1 else LocalWorker("cpu")

        def keep(_: object, checkpoint: Checkpoint, accumulate: int = accumulate) -> None:
            weights = {k: v.numpy() for k, v in checkpoint.state["model"].items()}
            np.savez(f"{folder}/{accumulate}-{world}-{rank}.npz", **weights)

        config = toy_config(budget__epochs=1, optim__accumulate=accumulate, **still, **moves)
        train(config, toy_data(), toy_prompts(), GOAL, worker=worker, report=keep)
        exchanges[accumulate] = getattr(worker, "exchanges", 0)
    if world > 1:
        Path(folder, f"exchanges-{rank}.json").write_text(json.dumps(exchanges), encoding="utf-8")
        dist.destroy_process_group()


@pytest.mark.slow
def test_accumulated_batches_are_exchanged_once_a_move(tmp_path: Path) -> None:
    mp.spawn(_train_accumulated, args=(2, port := _free_port(), str(tmp_path)), nprocs=2)
    _train_accumulated(0, 1, port, str(tmp_path))
    for rank in (0, 1):
        told = json.loads((tmp_path / f"exchanges-{rank}.json").read_text(encoding="utf-8"))
        assert told["1"] == 2 * told["3"] > 0, "6 of the 9 batches train, in 3 moves of 3"
    for accumulate in (1, 3):
        alone, *both = (dict(np.load(tmp_path / f"{accumulate}-{w}.npz")) for w in ("1-0", "2-0", "2-1"))
        for key, values in alone.items():
            np.testing.assert_array_equal(both[0][key], both[1][key], err_msg=key)
            np.testing.assert_allclose(values, both[0][key], atol=TOLERANCE, rtol=0, err_msg=key)


def _train_folds(rank: int, port: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    records: list[EpochRecord] = []

    def keep(record: EpochRecord, checkpoint: Checkpoint) -> None:
        records.append(record)
        if rank == 0:
            checkpoint.save(Path(folder))

    config = toy_config(budget__epochs=1, split__kind="kfold", split__folds=2)
    supply = toy_data(), toy_prompts()
    train_trial(config, lambda _: supply, GOAL, worker=GroupWorker(rank, 2), report=keep)
    told = [[r.epoch, r.fold, dict(r.metrics)] for r in records]
    Path(folder, f"{rank}.json").write_text(json.dumps(told), encoding="utf-8")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_train_on_every_fold_together(tmp_path: Path) -> None:
    mp.spawn(_train_folds, args=(_free_port(), str(tmp_path)), nprocs=2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in (0, 1))
    assert first == second
    assert [(epoch, fold) for epoch, fold, _ in first] == [(1, 1), (2, 2)]
    key = "val/fgvc/accuracy"
    assert first[1][2][key] == (first[0][2][key] + first[1][2][f"fold2/{key}"]) / 2
    assert len(read_validation(tmp_path)["fgvc"].pictures_N) == 40, "each picture of training and validation"


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _assert_trained_alike(folder: Path) -> set[str]:
    """Both workers and the one that trained alone; returns the names of the parameters."""
    alone, first, second = (dict(np.load(folder / f"{name}.npz")) for name in ("1-0", "2-0", "2-1"))
    assert first.keys() == alone.keys()
    for key, values in first.items():
        np.testing.assert_array_equal(values, second[key], err_msg=key)
        # Adding the same to all keys changes no attention: the gradient is rounding, and Adam makes it a step.
        if not key.endswith("attention.self.key.bias"):
            np.testing.assert_allclose(values, alone[key], atol=TOLERANCE, rtol=0, err_msg=key)
    return set(first)


def test_what_torch_says_of_an_old_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_gpu() -> bool:
        warnings.warn("CUDA initialization: The NVIDIA driver on your system is too old", UserWarning, stacklevel=1)
        return False

    monkeypatch.setattr("torch.cuda.is_available", no_gpu)
    workers._trouble.cache_clear()
    try:
        with pytest.warns(UserWarning, match="too old"):
            assert why_no_gpu() == "CUDA initialization: The NVIDIA driver on your system is too old"
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)  # it says so once
        with pytest.raises(UserError, match=r"torch cannot use it \(CUDA initialization: The NVIDIA driver"):
            make_worker(1, "auto", holds_card=True)
        with pytest.raises(UserError, match=r"asks for cuda, but this process sees no GPU \(CUDA initialization: "):
            make_worker(1, "cuda")
        assert make_worker(1, "cpu", holds_card=True).device.type == "cpu"  # as its settings say
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        assert why_no_gpu() == ""
    finally:
        workers._trouble.cache_clear()


def test_one_worker_needs_no_group() -> None:
    assert isinstance(make_worker(1, "cpu"), LocalWorker)


@pytest.mark.parametrize(
    ("device", "nccl", "expected"), [("auto", False, "gloo"), ("auto", True, "nccl"), ("cpu", True, "gloo")]
)
def test_nccl_is_for_workers_with_a_whole_card_each(device: str, nccl: bool, expected: str) -> None:
    assert backend(device, nccl) == expected
