"""Batches that a thread makes ahead come in their order, with its errors, and the thread ends with the epoch."""

from __future__ import annotations

import threading

import pytest
import torch

from raytune_planes.datasets.loaders import Batch
from raytune_planes.training import prefetch
from raytune_planes.training.prefetch import AHEAD, Beside, batches, made_ahead
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.gpu.cases import CASES
from tests.toy import toy_config, toy_data, toy_prompts

ORDER = [("fgvc", 0), ("hrplanes", 0), ("fgvc", 1), ("planesnet", 4), ("fgvc", 2)]


def make(name: str, number: int) -> Batch:
    return Batch(name, torch.full((2, 3, 4, 4), float(number)), torch.zeros(2, dtype=torch.long), None)


def told(batch: Batch) -> tuple[str, int]:
    return batch.dataset, int(batch.image_BCHW[0, 0, 0, 0])


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_batches_come_in_order_from_a_thread_that_ends() -> None:
    makers = set()

    def noted(name: str, number: int) -> Batch:
        makers.add(threading.current_thread().name)
        return make(name, number)

    with made_ahead(noted, ORDER, Beside()) as coming:
        assert [told(batch) for batch in coming] == ORDER
    assert makers == {"batches"}
    assert "batches" not in threads()


def test_an_epoch_that_ends_early_ends_the_thread() -> None:
    made = []

    def noted(name: str, number: int) -> Batch:
        made.append((name, number))
        return make(name, number)

    with made_ahead(noted, ORDER, Beside()) as coming:
        assert told(next(coming)) == ORDER[0]
    assert "batches" not in threads()
    assert len(made) <= 1 + AHEAD + 1  # used, ready, and the one that was being made


def test_what_the_thread_raises_is_raised_at_the_batches_turn() -> None:
    def broken(name: str, number: int) -> Batch:
        if number == 1:
            raise OSError("the disk is gone")
        return make(name, number)

    with made_ahead(broken, ORDER, Beside()) as coming:
        assert told(next(coming)) == ORDER[0]
        assert told(next(coming)) == ORDER[1]
        with pytest.raises(OSError, match="the disk is gone"):
            next(coming)


def test_on_a_cpu_a_batch_is_made_at_its_turn_by_the_thread_that_trains() -> None:
    made = []

    def noted(name: str, number: int) -> Batch:
        made.append(threading.current_thread())
        return make(name, number)

    with batches(noted, ORDER, torch.device("cpu")) as coming:
        assert not made
        assert told(next(coming)) == ORDER[0]
        assert made == [threading.current_thread()]


@pytest.mark.parametrize("case", ["every term", "an encoder's features"])
def test_steps_and_evaluation_of_batches_made_ahead_are_those_of_batches_made_at_their_turn(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run() -> tuple[dict[str, float], dict[str, list[float]]]:
        trainer = Trainer(toy_config(**CASES[case]), toy_data(), toy_prompts(), LocalWorker("cpu"))
        trainer.begin()
        found = trainer.train_epoch(["fgvc", "hrplanes", "planesnet", "fgvc"]) | trainer.evaluate("val", scenes=False)
        said = {name: own.logits_NK.ravel().tolist() for name, own in trainer.predictions().items()}
        return found | trainer.evaluate("test", scenes=False), said

    monkeypatch.setattr("raytune_planes.training.evaluation.eval_batch", lambda side: 3)  # so there are several
    at_their_turn, asked = run(), list[str]()
    for module in ("trainer", "evaluation"):

        def ahead(make, order, device, module=module):  # type: ignore[no-untyped-def]
            asked.append(module)
            return made_ahead(make, order, Beside())

        monkeypatch.setattr(f"raytune_planes.training.{module}.batches", ahead)
    assert run() == at_their_turn
    assert asked == ["trainer", "evaluation", "evaluation"]
    assert "batches" not in threads()


def test_all_epochs_make_their_batches_on_one_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch keeps freed memory of a card for the stream that it was taken on, and would hand out 32 in turn."""
    made: list[object] = []

    class Played:
        def __init__(self, device: torch.device) -> None:
            self.waited = 0
            made.append(self)

        def wait_stream(self, other: str) -> None:
            assert other == "the stream of training"
            self.waited += 1

    prefetch._beside.cache_clear()
    monkeypatch.setattr(torch.cuda, "Stream", Played)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the stream of training")
    for _ in range(3):
        prefetch.Stream(torch.device("cuda"))
    assert [stream.waited for stream in made] == [3]  # type: ignore[attr-defined]
    prefetch.Stream(torch.device("cuda", 1))
    assert len(made) == 2, "a card of its own has its own"
    prefetch._beside.cache_clear()
