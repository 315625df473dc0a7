"""Which pictures a GPU decodes and which processors do, and that they are the same pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.io
from torch import Tensor

from raytune_planes.config import Dataset, Devices
from raytune_planes.datasets import cache, card_decoding, reader, records
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.card_decoding import CardDecoder, card_decoder, decoding_in_words, no_decoder
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.loaders import TrainStream
from raytune_planes.datasets.pixels import Pixels, Targets, pixels_of
from raytune_planes.datasets.records import Records, Writer
from raytune_planes.datasets.residence import uploaded
from raytune_planes.errors import UserError
from tests.datasets.test_known import scenes
from tests.toy import toy_config
from tests.training.test_loop import Recorder, run

CPU, CARD = torch.device("cpu"), torch.device("cuda", 0)
SIDE = 24


class Calls:
    """torchvision's decoder for CPUs in place of the one for cards; notes what it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        self.asked: list[tuple[str, torch.device]] = []
        self._decode = torchvision.io.decode_jpeg
        monkeypatch.setattr(torchvision.io, "decode_jpeg", self)

    def __call__(self, data: list[Tensor], mode: str, device: torch.device) -> list[Tensor]:
        self.sizes.append(len(data))
        self.asked.append((mode, device))
        found: list[Tensor] = self._decode(data, mode=mode, device="cpu")
        return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of a card, which is played: its number and its events."""
    happened: list[str] = []

    class Event:
        def record(self, stream: str) -> None:
            happened.append(f"recorded on {stream}")

        def synchronize(self) -> None:
            happened.append("waited")

    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"the stream of {device}")
    monkeypatch.setattr(torch.cuda, "Event", Event)
    return happened


@pytest.fixture(autouse=True)
def nothing_is_remembered_of_cards() -> Iterator[None]:
    yield
    no_decoder.cache_clear()


def kept(path: Path, pictures: Sequence[np.ndarray]) -> Records:
    """Pictures of any size as JPEG."""
    writer = Writer(path, (len(pictures),), "jpeg")
    for row, picture_HWC in enumerate(pictures):
        writer.put(row, picture_HWC)
    writer.finish()
    writer.close()
    return Records(path, (len(pictures),))


def pictures(*sides: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (side, SIDE, 3), np.uint8) for side in sides]


def decoded(folder: Path, **settings: Any) -> tuple[Dataset, Arrays]:
    root = folder / "scenes"
    own = Dataset(root=str(root if root.is_dir() else scenes(root)), image_size=SIDE, tile=48, kept="jpeg", **settings)
    return own, cache.decode(reader("hrplanes", own, None), folder / "cache")


def test_jpeg_goes_to_the_card_in_one_call_and_the_rest_to_processors(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "JPEG_MOST", 30)  # longer ones are kept without loss
    found, rows = kept(tmp_path / "x.npy", pictures(24, 31, 30, 9, 40)), [4, 0, 2, 1, 0]
    shown = list(CardDecoder(CPU).pictures(found, rows, 40 * SIDE * 3))
    assert calls.sizes == [3], "rows 0, 2 and 0"
    assert calls.asked == [("RGB", CPU)]
    assert [len(picture_HWC) for picture_HWC in shown] == [40, 24, 30, 31, 24]
    for picture_HWC, row in zip(shown, rows, strict=True):
        np.testing.assert_array_equal(picture_HWC.numpy(), found[row])


def test_a_batch_of_large_pictures_is_decoded_in_parts(
    tmp_path: Path, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(card_decoding, "AT_ONCE_BYTES", 2 * SIDE * SIDE * 3 + 1)
    found = kept(tmp_path / "x.npy", pictures(*[SIDE] * 5))
    shown = list(CardDecoder(CPU).pictures(found, range(5), SIDE * SIDE * 3))
    assert calls.sizes == [2, 2, 1]
    for row in range(5):
        np.testing.assert_array_equal(shown[row].numpy(), found[row])


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"train_tiles": "fixed"},
        {"decoded_size": 32, "augment": {"crop_min": 0.4}},
        {"train_tiles": "fixed", "augment": {"crop_min": 0.4}},
    ],
    ids=["moved tiles", "tiles", "crops of moved tiles", "crops"],
)
@pytest.mark.parametrize("resident", [False, True])
def test_batches_hold_the_same_pixels_whoever_decodes(
    tmp_path: Path, calls: Calls, settings: dict[str, Any], resident: bool
) -> None:
    own, arrays = decoded(tmp_path, **settings)
    expected, found = (
        TrainStream(arrays, own, 8, 3, Pixels(arrays, CPU, resident, decoder=decoder)).batch(2)
        for decoder in (None, CardDecoder(CPU))
    )
    assert calls.sizes, "the decoder was asked"
    assert torch.equal(found.image_BCHW, expected.image_BCHW)
    assert found.mask_BHW is not None
    assert expected.mask_BHW is not None
    assert torch.equal(found.mask_BHW, expected.mask_BHW)
    assert torch.equal(found.label_B, expected.label_B)


def test_a_whole_entry_is_decoded_where_it_will_live(tmp_path: Path, calls: Calls) -> None:
    _, arrays = decoded(tmp_path)
    found = uploaded(arrays.images_NHWC, CPU, CardDecoder(CPU))
    assert sum(calls.sizes) == len(arrays.images_NHWC)
    np.testing.assert_array_equal(found.numpy(), np.asarray(arrays.images_NHWC))


def test_what_evaluation_sees_of_the_middle_is_the_same(tmp_path: Path, calls: Calls) -> None:
    _, arrays = decoded(tmp_path)
    chosen, seen = np.array([3, 0, 5]), Seen(16, 0.75)
    expected, found = (Pixels(arrays, CPU, seen=seen, decoder=each).at(chosen)[0] for each in (None, CardDecoder(CPU)))
    assert calls.sizes == [3]
    assert torch.equal(found, expected)


def test_processors_decode_unless_the_card_is_asked(tmp_path: Path, calls: Calls, happened: list[str]) -> None:
    own, arrays = decoded(tmp_path)
    data, settings = {"hrplanes": arrays}, {"hrplanes": own}
    assert card_decoder(Devices(), torch.device("cuda")) is None
    assert list(decoding_in_words(Devices(), torch.device("cuda"), settings)) == []
    assert calls.sizes == [], "nothing is tried"
    assert isinstance(card_decoder(Devices(decode="cuda"), torch.device("cuda")), CardDecoder)
    assert calls.asked == [("RGB", CARD)], "one picture is tried, on the card by its number"
    for devices in (Devices(), Devices(decode="cuda")):
        assert pixels_of(data, settings, CPU, Targets(), devices)["hrplanes"].decoder is None


def test_a_dataset_without_loss_is_decoded_by_processors_and_named(calls: Calls, happened: list[str]) -> None:
    datasets = {"fgvc": Dataset(), "hrplanes": Dataset(kept="jpeg"), "planesnet": Dataset()}
    (told,) = decoding_in_words(Devices(decode="cuda"), torch.device("cuda"), datasets)
    assert told.startswith("devices.decode = cuda: pictures of fgvc, planesnet are not kept as JPEG, and processors")
    assert list(decoding_in_words(Devices(decode="cuda"), CARD, {"hrplanes": Dataset(kept="jpeg")})) == []


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support"),
        ImportError("cannot import name 'decode_jpeg' from 'torchvision.io'"),
    ],
)
def test_where_torchvision_cannot_processors_decode_and_the_reason_is_said(
    error: Exception, happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(torchvision.io, "decode_jpeg", refused)
    assert card_decoder(Devices(decode="cuda"), CARD) is None
    (told,) = decoding_in_words(Devices(decode="cuda"), CARD, {})
    assert told == (
        f"devices.decode = cuda, but processors decode, as torchvision does not decode on this GPU ({error})"
    )


def test_work_that_is_queued_is_done_before_the_decoder_takes_memory(
    happened: list[str], calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nvJPEG writes at once into memory that torch's allocator gives it, though kernels may have yet to read it."""

    def decode(data: list[Tensor], mode: str, device: torch.device) -> list[Tensor]:
        happened.append("decoded")
        return calls(data, mode, device)

    monkeypatch.setattr(torchvision.io, "decode_jpeg", decode)
    found = kept(tmp_path / "x.npy", pictures(SIDE, SIDE))
    list(CardDecoder(CARD).pictures(found, [0, 1], SIDE * SIDE * 3))
    assert happened == ["recorded on the stream of cuda:0", "waited", "decoded"]


def test_a_training_on_a_cpu_is_the_same_to_the_bit_with_the_setting_and_says_why() -> None:
    said: list[str] = []
    plain, asked = Recorder(), Recorder()
    settings = {"budget__epochs": 1, "budget__steps_per_epoch": 3}
    run(toy_config(**settings), plain)
    run(toy_config(**settings, devices__decode="cuda"), asked, say=said.append)
    assert asked.metrics == plain.metrics
    assert said == [
        "devices.decode = cuda, but processors decode, as the image model is on the device cpu, which is no NVIDIA GPU"
    ]


def test_exact_decodes_as_a_cpu_does() -> None:
    with pytest.raises(UserError, match=r"devices\.exact decodes as a CPU does, and devices\.decode = cuda does not"):
        toy_config(devices__exact=True, devices__decode="cuda")
