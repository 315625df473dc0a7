"""The checks for a card run dry: the same code, on a CPU that plays the card."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
import torch
import torchvision.io
from torch import Tensor

from raytune_planes.training.workers import why_no_gpu
from tests.gpu import check, decoding
from tests.gpu.place import Place

SLOW = [name for name in check.CHECKS if name.startswith("two ") or name == "a study"]
"""Those that start processes."""
QUICK = [name for name in check.CHECKS if name not in SLOW]
MISSING = [] if importlib.util.find_spec("lightning") else ["images per second, beside Lightning"]
"""What needs a package that is not here."""


def test_every_check_of_one_process_holds_on_a_played_card(tmp_path: Path) -> None:
    found = check.run(Place(dry=True), QUICK, tmp_path, print)
    assert {name: result.held for name, result in found.items()} == {
        name: None if name in MISSING else True for name in QUICK
    }, found
    for name in MISSING:
        assert found[name].text == "skipped: lightning is not installed"
    figures = found["pictures are decoded on the card"].figures
    assert {figures[f"{name}, levels apart"] for name in decoding.SHAPES} == {0.0}, "on a CPU both are libjpeg"
    assert min(value for key, value in figures.items() if key.endswith("pictures/s")) > 0
    compiling = found["what compiling costs and saves"]
    assert re.match(r"measured COST_S = \d+, SAVED = 0\.\d\d of 1 networks: set them in training/", compiling.text)
    told = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert told["checks"].keys() == found.keys()
    assert "| no step waits for the card | yes |" in (tmp_path / "report.md").read_text(encoding="utf-8")
    assert check.status(found, dry=True) == 0


@pytest.mark.slow
def test_the_checks_of_several_processes_hold_on_a_cpu(tmp_path: Path) -> None:
    found = check.run(Place(dry=True), SLOW, tmp_path, print)
    assert [result.held for result in found.values()] == [True, True, True], found


@pytest.mark.skipif(not why_no_gpu(), reason="there is a GPU")
def test_without_a_card_each_check_is_skipped_with_its_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main([str(tmp_path / "out")]) == check.NO_CARD
    *_, why, where = capsys.readouterr().out.splitlines()
    assert why == (
        f"Nothing was checked: there is no GPU ({why_no_gpu()}). This needs an NVIDIA GPU, its driver, and a torch for "
        "CUDA; tests/gpu/run --dry runs the same code on a CPU"
    )
    assert where == f"The report is {tmp_path / 'out' / 'report.md'}"
    checks = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))["checks"]
    assert checks.keys() == check.CHECKS.keys()
    for result in checks.values():
        assert result["held"] is None
        assert result["text"].startswith("skipped: there is no GPU: ")


def test_a_check_that_fails_or_raises_is_told_and_decides_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(place: Place) -> check.Found:
        raise RuntimeError("the card is on fire")

    checks = {"broken": (broken, 1.0), "far": (lambda place: check.Found(False, "too far"), 1.0)}
    monkeypatch.setattr(check, "CHECKS", {**checks, "long": (broken, 1e9)})
    notes: list[str] = []
    found = check.run(Place(dry=True), ["broken", "far", "long"], tmp_path, notes.append)
    assert found["broken"].text == "RuntimeError: the card is on fire"
    assert found["long"].text.startswith("no time was left: it takes 1000000000 s")
    assert [result.held for result in found.values()] == [False, False, False]
    assert check.status(found, dry=True) == 1
    assert "the card is on fire" in notes[0]


def test_a_decoder_that_is_too_far_off_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    right = torchvision.io.decode_jpeg

    def off(data: list[Tensor], mode: str, device: torch.device) -> list[Tensor]:
        return [picture.clamp_(max=240).add_(9) for picture in right(data, mode=mode, device=device)]

    monkeypatch.setattr(torchvision.io, "decode_jpeg", off)
    found = decoding.card(Place(dry=True))
    assert found.held is False
    assert "too far: 64 px: " in found.text
