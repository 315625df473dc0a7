"""What lives on a GPU follows the memory that it has, and the rest arrives there row by row."""

from __future__ import annotations

import weakref

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.datasets.residence import SHARE, resident, room_on, sent, size_of, uploaded
from tests.card import CARD, Card, OnCard
from tests.toy import toy_data

PICTURES = 48 * 16 * 16 * 3
MASKS = 48 * 16 * 16


def test_the_smallest_datasets_live_on_the_card_as_far_as_there_is_room() -> None:
    data = toy_data() | {"large": toy_data(480)["fgvc"]}
    assert {name: size_of(arrays) for name, arrays in data.items()} == {
        "planesnet": PICTURES,
        "hrplanes": PICTURES + MASKS,
        "fgvc": PICTURES,
        "large": 10 * PICTURES,
    }
    assert resident(data, 0) == frozenset()
    assert resident(data, 2 * PICTURES) == {"planesnet", "fgvc"}
    assert resident(data, 4 * PICTURES) == {"planesnet", "fgvc", "hrplanes"}
    assert resident(data, 14 * PICTURES) == set(data)


def test_a_trial_fills_its_share_of_the_part_of_the_card_that_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    gib = 2**30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (60 * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 1 * gib)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 4 * gib)  # 3 of an earlier training, for the next
    for fraction, expected in ((1.0, 63.0), (0.25, 19.0), (0.05, 3.0), (0.0125, 0.0)):  # free, or its part less its own
        monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device, f=fraction: f)
        assert room_on(torch.device("cuda")) == pytest.approx(SHARE * expected * gib, abs=1)
    assert room_on(torch.device("cpu")) == 0


def test_pictures_are_the_same_from_the_card_and_from_the_host() -> None:
    arrays, chosen = toy_data()["hrplanes"], np.array([5, 0, 5, 17])
    expected, expected_masks = Pixels(arrays).at(chosen)
    with Card() as card:
        for is_resident in (True, False):
            image, mask = Pixels(arrays, CARD, is_resident).at(chosen)
            assert isinstance(image, OnCard)
            assert isinstance(mask, OnCard)
            assert torch.equal(image.held, expected)
            assert expected_masks is not None
            assert torch.equal(mask.held, expected_masks)
    assert [wait for wait in card.waits if "uploaded" not in wait.place] == []


def test_a_whole_array_is_sent_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytune_planes.datasets.residence.CHUNK_BYTES", 5 * 16 * 16 * 3)
    images = toy_data()["fgvc"].images_NHWC
    assert torch.equal(uploaded(images, torch.device("cpu")), torch.from_numpy(images))
    assert torch.equal(sent(images, np.array([3, 1]), torch.device("cpu")), torch.from_numpy(images[[3, 1]]))


def test_what_an_earlier_training_left_is_let_go_before_the_room_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that refers to itself, as a trainer does, else keeps its datasets on the card until Python looks for it."""

    class Earlier:
        def __init__(self) -> None:
            self.itself = self

    left = weakref.ref(Earlier())
    there: list[bool] = []

    def free(device: torch.device) -> tuple[int, int]:
        there.append(left() is not None)
        return 100, 100

    monkeypatch.setattr(torch.cuda, "mem_get_info", free)
    for name in ("memory_allocated", "memory_reserved"):
        monkeypatch.setattr(torch.cuda, name, lambda device: 0)
    monkeypatch.setattr(torch.cuda, "get_per_process_memory_fraction", lambda device: 1.0)
    assert room_on(torch.device("cuda")) == 40
    assert there == [False]


@pytest.mark.parametrize("way", ["the middle", "crops", "crops on the card"])
def test_what_is_cut_on_the_host_goes_to_the_card_from_pinned_memory(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pinned: list[torch.Size] = []

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.shape)
        return tensor

    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    windows = None if way == "the middle" else np.array([[0, 0, 8, 8], [2, 3, 9, 12]])
    with FakeTensorMode():  # it has a GPU, of shapes alone
        pixels = Pixels(toy_data()["fgvc"], "cuda", way == "crops on the card", seen=Seen(12, 0.75))
        image_BHWC, _ = pixels.shown(np.array([3, 1]), windows)
    assert (image_BHWC.shape, image_BHWC.device.type) == ((2, 12, 12, 3), "cuda")
    assert pinned == ([] if way == "crops on the card" else [(2, 12, 12, 3)])
