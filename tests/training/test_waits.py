"""No step of training makes the host wait for the card, and what is computed there is what the CPU computes."""

from __future__ import annotations

import pytest
import torch

from raytune_planes.errors import UserError
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.card import CARD, Card, OnCard, on_card
from tests.gpu.cases import CASES, WAITING, Settings
from tests.toy import toy_config, toy_data, toy_prompts

ORDER = ["fgvc", "hrplanes", "planesnet", "fgvc"]


def trained(worker: LocalWorker, settings: Settings) -> tuple[dict[str, float], Trainer]:
    trainer = Trainer(toy_config(**settings), toy_data(), toy_prompts(), worker)
    trainer.begin()
    return trainer.train_epoch(ORDER) | trainer.train_epoch(ORDER) | trainer.evaluate("val", scenes=False), trainer


@pytest.mark.parametrize("case", CASES)
def test_no_step_of_training_waits_for_the_card(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 0 if case == "crops" else 40_000  # for one dataset of three
    monkeypatch.setattr("raytune_planes.datasets.pixels.room_on", lambda device: room)
    with Card() as card:
        metrics, trainer = trained(on_card(), CASES[case])
    assert {w.device for w in trainer.model.parameters()} == {CARD}
    assert card.in_steps == []
    assert card.waits, "the end of an epoch reads the sums"
    expected, _ = trained(LocalWorker(), CASES[case])
    # Crops are resized in bytes on a CPU and in floats elsewhere: a pixel may differ by a step of 1/255.
    assert metrics == pytest.approx(expected, **({"abs": 0.05} if case == "crops" else {"rel": 1e-3, "abs": 1e-4}))


@pytest.mark.parametrize("case", WAITING)
def test_what_is_known_to_wait_does(case: str) -> None:
    with Card() as card:
        trained(on_card(), WAITING[case])
    assert card.in_steps


def test_a_card_without_float64_trains_as_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**CASES["every term"], "balancing__surgery": "cagrad", "optim__accumulate": 2}
    expected, _ = trained(LocalWorker(), settings)
    monkeypatch.setattr("raytune_planes.arithmetic.WITHOUT_FLOAT64", (CARD.type,))
    with Card(lacks=(torch.float64,)):
        metrics, _ = trained(on_card(), settings)
    assert metrics == pytest.approx(expected, rel=1e-3, abs=1e-3)
    with pytest.raises(UserError, match=r"asks for mps, but torch sees no GPU of Apple's here"):
        LocalWorker("mps")


def test_the_played_card_notes_what_waits() -> None:
    def _train_step(rows: torch.Tensor) -> None:
        assert rows.sum() > 0

    with Card() as card:
        rows = torch.arange(6.0).to(CARD, non_blocking=True)
        assert isinstance(rows, OnCard)
        assert not card.waits
        for wait in (
            lambda: rows.sum().item(),
            lambda: bool(rows[0] == 0),
            lambda: rows.cpu(),
            lambda: rows.long().unique(),
            lambda: rows.nonzero(),
            lambda: rows[rows > 2],
            lambda: rows[torch.tensor([0, 2])],
            lambda: torch.ones(3).to(CARD),
            lambda: torch.bincount(rows.long(), minlength=9),
        ):
            before = len(card.waits)
            wait()
            assert len(card.waits) > before, wait
    with pytest.raises(RuntimeError, match="tensors of the CPU and of the card"):
        rows + torch.ones(6)
