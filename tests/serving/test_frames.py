"""Frames of a folder or of a video are answered in order, as ``predict`` answers each, and what is wrong is told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.serving.answers import Answer, answer
from raytune_planes.serving.batches import Asked
from raytune_planes.serving.frames import Frame, answered, frames_of
from raytune_planes.serving.predictor import Predictor
from raytune_planes.serving.speed import FRAMES, NETWORK, ROUNDS, rate, speeds
from tests.toy import SIDE, toy_data

COUNT = 7


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Chips as frames, whose names do not lie in the order in which they were written."""
    (tmp_path / "frames").mkdir()
    chips = toy_data()["planesnet"].images_NHWC
    for number in reversed(range(COUNT)):
        Image.fromarray(chips[number]).save(tmp_path / "frames" / f"{number:03d}.png")
    return tmp_path / "frames"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Seven frames of 320x256 pixels, four a second, brighter from one to the next, as VP9."""
    path = tmp_path / "film.webm"
    with av.open(str(path), "w") as video:
        stream = video.add_stream("libvpx-vp9", rate=4, options={"lossless": "1"})
        stream.width, stream.height, stream.pix_fmt = 320, 256, "yuv420p"
        for number in range(COUNT):
            pixels = np.full((256, 320, 3), 20 + 30 * number, np.uint8)
            video.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        video.mux(stream.encode())
    return path


def lines(said: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in said.splitlines()]


def test_frames_of_a_folder_are_answered_in_the_order_of_names_as_predict_answers_each(
    weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["predict", str(weights), "--dataset", "planesnet", "--video", str(folder), "--batch", "3", "--threads", "1"]
    assert main([*line, "--rate", "5"]) == 0
    said = capsys.readouterr()
    told = lines(said.out)
    assert [(each["frame"], each["time"], each["file"]) for each in told] == [
        (n, pytest.approx(n / 5), f"{n:03d}.png") for n in range(COUNT)
    ]
    assert said.err.startswith("7 frames in ")
    model = Predictor.load(weights)
    for n, each in enumerate(told):
        labels = answer(model, folder / f"{n:03d}.png", "planesnet").to_dict()["labels"]
        assert [row["label"] for row in each["labels"]] == [row["label"] for row in labels]  # type: ignore[attr-defined]
        assert each["labels"][0]["probability"] == pytest.approx(labels[0]["probability"], abs=1e-5)  # type: ignore[index]


def test_frames_of_a_video_have_their_times_and_show_what_was_filmed(
    weights: Path, film: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = list(frames_of(film))
    assert [(frame.number, frame.time) for frame in frames] == [(n, pytest.approx(n / 4)) for n in range(COUNT)]
    for n, frame in enumerate(frames):
        (film.parent / "one.bmp").write_bytes(frame.source)  # type: ignore[arg-type]
        with Image.open(film.parent / "one.bmp") as image:
            assert image.size == (320, 256)
            assert np.abs(np.asarray(image, int) - (20 + 30 * n)).max() <= 3
    assert main(["predict", str(weights), "--dataset", "hrplanes", "--video", str(film), "--batch", "2"]) == 0
    told = lines(capsys.readouterr().out)
    assert [each["frame"] for each in told] == list(range(COUNT))
    assert {tuple(each["size"]) for each in told} == {(320, 256)}  # type: ignore[arg-type]
    assert all("count" in each and "file" not in each for each in told)


def test_a_frame_that_cannot_be_read_is_a_line_with_an_error(
    weights: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "003.png").write_bytes(b"no picture")
    line = ["predict", str(weights), "--dataset", "planesnet", "--video", str(folder)]
    assert main(line) == 1
    said = capsys.readouterr()
    told = lines(said.out)
    assert [each["frame"] for each in told if "error" in each] == [3]
    assert told[0]["time"] is None, "nothing tells the time of files"
    assert "1 of 7 frames could not be answered" in said.err
    for path in folder.iterdir():
        path.write_bytes(b"no picture")
    assert main(line) == 2
    assert "none of 7 frames could be answered" in capsys.readouterr().err


def test_the_frames_before_a_damaged_part_of_a_video_are_answered(weights: Path, folder: Path) -> None:
    def damaged() -> Iterator[Frame]:
        for number in range(5):
            yield Frame(number, None, folder / f"{number:03d}.png", None)
        raise UserError("damaged")

    found = []

    def take() -> None:
        for frame, said in answered(Predictor.load(weights), damaged(), 3, Asked(b"", "planesnet")):
            assert isinstance(said, Answer)
            found.append(frame.number)

    with pytest.raises(UserError, match="damaged"):
        take()
    assert found == [0, 1, 2, 3, 4]


def test_a_file_that_is_no_video_is_told(weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "film.mp4").write_bytes(b"not a video at all")
    assert main(["predict", str(weights), "--dataset", "hrplanes", "--video", str(tmp_path / "film.mp4")]) == 2
    assert "film.mp4 cannot be read as a video: " in capsys.readouterr().err


def test_without_the_package_for_videos_it_is_said_how_it_comes(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytune_planes.serving.frames.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package av: install the extra 'video'"):
        frames_of(film)
    assert "av" in sys.modules, "what is missing is said, not imported"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "no pictures; give IMAGE or FOLDER, --video FILE|FOLDER, or --benchmark"),
        (["--video", "nowhere.mp4"], "no video or folder nowhere.mp4; give a video file, or a folder"),
        (["--video", "x.mp4", "--benchmark"], "--video answers frames and --benchmark measures; give one of them"),
        (["--video", "x.mp4", "y.png"], "--video takes the place of IMAGE; leave one of them out"),
        (["--video", "x.mp4", "--out", "drawn"], "--video takes no --out; leave it out"),
        (["--video", "x.mp4", "--batch", "1,8"], "--video needs one number for --batch"),
        (["--benchmark", "--json"], "--benchmark takes no --json; leave it out"),
        (["--benchmark"], "speed is that of one head: choose one of planesnet, hrplanes, fgvc with --dataset"),
        (["x.png", "--batch", "4"], "--batch is for --video or --benchmark; give one of them, or leave it out"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    weights: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(weights), *more]) == 2
    assert message in capsys.readouterr().err


def test_a_batch_that_is_no_number_is_told(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["predict", str(weights), "--benchmark", "--batch", "1,none"])
    assert "argument --batch: 'none' is no whole number" in capsys.readouterr().err


def test_the_benchmark_measures_the_network_and_whole_frames_by_batch(
    weights: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("raytune_planes.serving.speed.LEAST_SECONDS", 0.0)
    model = Predictor.load(weights, "cpu")
    found = list(speeds(model, "hrplanes", (1, 3), 64))
    assert [(each.what, each.side, each.batch) for each in found] == [
        (NETWORK, SIDE, 1), (NETWORK, SIDE, 3), (FRAMES, 64, 1), (FRAMES, 64, 3)
    ]  # fmt: skip
    assert all(0 < each.slowest <= each.per_second <= each.fastest for each in found)
    shown = list(speeds(model, "planesnet", (2,), 20, [folder / "000.png"]))
    assert [each.side for each in shown] == [SIDE, 20]


def test_a_rate_is_of_pictures_and_the_first_call_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, calls = [0.0], []

    def run() -> None:
        calls.append(1)
        clock[0] += 9.0 if len(calls) == 1 else 0.2  # the first one is slow

    monkeypatch.setattr("raytune_planes.serving.speed.time.perf_counter", lambda: clock[0])
    assert rate(run, 4) == pytest.approx((20.0, 20.0, 20.0))
    assert len(calls) == 1 + 2 * ROUNDS, "0.2 s are less than a round has"


def test_the_command_prints_a_table(
    weights: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("raytune_planes.serving.speed.LEAST_SECONDS", 0.0)
    line = ["predict", str(weights), "--benchmark", "--dataset", "hrplanes", "--batch", "2", "--size", "64"]
    assert main([*line, "--threads", "1", "--device", "cpu"]) == 0
    said = capsys.readouterr().out
    assert "dataset hrplanes, encoder residual; CPU, 1 thread; torch " in said
    rows = [line.split() for line in said.splitlines() if line.startswith((NETWORK, FRAMES))]
    assert [row[-6:-4] for row in rows] == [[str(SIDE), "2"], ["64", "2"]]
