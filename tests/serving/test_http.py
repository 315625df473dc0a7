"""The server's answers are those of ``predict``; pictures that wait together are answered together; limits hold."""

from __future__ import annotations

import asyncio
import base64
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import raytune_planes.serving as serving
from raytune_planes.errors import UserError
from raytune_planes.serving.answers import Answer, answer
from raytune_planes.serving.batches import Asked, answer_all
from raytune_planes.serving.desk import Busy, Desk
from raytune_planes.serving.http import Limits, application, listening, server
from raytune_planes.serving.overlay import draw
from raytune_planes.serving.predictor import Predictor
from tests.serving.test_answers import photo, scene
from tests.toy import INFOS, toy_data

LIMITS = Limits(bytes=200_000, pixels=400 * 400, waiting=8, batch=4)
Reply = tuple[int, dict[str, str], Any]


def png(pixels: np.ndarray | Image.Image) -> bytes:
    kept = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(kept, "PNG")
    return kept.getvalue()


def chips(dataset: str, number: int) -> list[bytes]:
    kept = photo if dataset == "fgvc" else png
    return [kept(pixels) for pixels in toy_data()[dataset].images_NHWC[:number]]


@pytest.fixture(scope="module")
def model(weights: Path) -> Predictor:
    return Predictor.load(weights, "cpu")


@pytest.fixture(scope="module")
def port(model: Predictor) -> Iterator[int]:
    listener = listening("127.0.0.1", 0)
    serves = server(application(model, LIMITS), LIMITS)
    thread = threading.Thread(target=serves.run, kwargs={"sockets": [listener]})
    thread.start()
    yield listener.getsockname()[1]
    serves.should_exit = True
    thread.join()
    listener.close()


def ask(port: int, path: str, body: Any = None, method: str = "POST", **headers: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    connection.request(method, path, body, named, encode_chunked="Transfer-Encoding" in named)
    got = connection.getresponse()
    content, kind = got.read(), got.headers.get_content_type()
    connection.close()
    said = dict(got.headers.items())
    return got.status, said, json.loads(content) if kind == "application/json" else content.decode()


def close(first: Any, second: Any) -> None:
    """Equal, but for the last bits of numbers: sums depend on how pictures are batched."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            close(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            close(one, other)
    elif isinstance(first, float):
        assert first == pytest.approx(second, abs=1e-4)
    else:
        assert first == second


@pytest.mark.parametrize("dataset", INFOS)
def test_it_answers_over_http_what_predict_says(model: Predictor, port: int, tmp_path: Path, dataset: str) -> None:
    source = scene()[0] if dataset == "hrplanes" else chips(dataset, 1)[0]
    status, _, said = ask(port, f"/predict?dataset={dataset}", source)
    assert status == 200
    close(said, json.loads(json.dumps(answer(model, source, dataset).to_dict())))


def test_texts_are_scored_and_the_drawing_and_the_mask_come_as_pictures(model: Predictor, port: int) -> None:
    source = chips("hrplanes", 1)[0]
    texts = ("planes on an apron", "an empty apron")
    model._texts[texts] = torch.eye(12)[:2]  # no text encoder has the toy model's space
    query = urllib.parse.urlencode({"dataset": "hrplanes", "text": texts, "drawn": "true", "mask": "true"}, True)
    status, _, said = ask(port, f"/predict?{query}", source)
    assert status == 200
    expected = answer(model, source, "hrplanes", texts)
    close(
        said["texts"],
        [{"text": t.text, "similarity": t.similarity, "probability": t.probability} for t in expected.texts],
    )
    assert expected.mask is not None
    mask_HW = np.asarray(opened(said["mask"]))
    np.testing.assert_allclose(mask_HW / 255, expected.mask, atol=0.003)
    assert opened(said["drawn"]).size == draw(expected, source).size


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/png;base64,"))))


def test_pictures_of_several_datasets_are_answered_in_order_as_each_alone(model: Predictor) -> None:
    asked = [Asked(source, name) for name in INFOS for source in chips(name, 3)]
    asked = [*asked[::2], Asked(b"no picture", "fgvc"), *asked[1::2], Asked(scene()[0], "hrplanes")]
    found = answer_all(model, asked)
    for each, one in zip(asked, found, strict=True):
        if each.source == b"no picture":
            assert isinstance(one, UserError)
            continue
        assert isinstance(one, Answer)
        alone = answer(model, each.source, each.dataset)
        close(one.to_dict(), alone.to_dict())
        if alone.mask is not None:
            assert one.mask is not None
            np.testing.assert_allclose(one.mask, alone.mask, atol=1e-4)


@pytest.mark.parametrize(("batch", "batches"), [(16, [5]), (2, [2, 2, 1])])
def test_requests_that_wait_together_are_answered_in_batches(model: Predictor, batch: int, batches: list[int]) -> None:
    async def five() -> tuple[list[Answer], list[int]]:
        desk = Desk(model, batch=batch, waiting=8)
        async with desk.open():
            answers = await asyncio.gather(*(desk.ask(Asked(s, "planesnet")) for s in chips("planesnet", 5)))
        return answers, desk.batches

    answers, found = asyncio.run(five())
    assert found == batches
    for one, source in zip(answers, chips("planesnet", 5), strict=True):
        close(one.to_dict(), answer(model, source, "planesnet").to_dict())


def test_more_requests_than_may_wait_are_turned_away_and_the_others_answered(model: Predictor) -> None:
    async def three() -> list[Answer | BaseException]:
        desk = Desk(model, batch=4, waiting=2)
        async with desk.open():
            asked = [Asked(s, "planesnet") for s in chips("planesnet", 3)]
            return await asyncio.gather(*map(desk.ask, asked), return_exceptions=True)

    first, second, third = asyncio.run(three())
    assert isinstance(first, Answer)
    assert isinstance(second, Answer)
    assert isinstance(third, Busy)


def test_a_fault_of_the_model_is_told_to_who_asked_and_the_next_is_answered(model: Predictor) -> None:
    async def two() -> tuple[BaseException | Answer, Answer]:
        desk = Desk(model, batch=4, waiting=2)
        async with desk.open():
            (fault,) = await asyncio.gather(desk.ask(Asked(None, "fgvc")), return_exceptions=True)  # type: ignore[arg-type]
            return fault, await desk.ask(Asked(chips("fgvc", 1)[0], "fgvc"))

    fault, after = asyncio.run(two())
    assert isinstance(fault, Exception)
    assert not isinstance(fault, UserError)
    assert after.dataset == "fgvc"


LARGE = b"x" * (LIMITS.bytes + 1)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "message"),
    [
        ("/predict", LARGE, {}, 413, "a picture's file may have 0.2 MB"),
        (
            "/predict",
            iter([LARGE[:150_000], LARGE[150_000:]]),
            {"Transfer_Encoding": "chunked"},
            413,
            "may have 0.2 MB",
        ),
        (
            "/predict?dataset=fgvc",
            png(Image.new("RGB", (500, 400))),
            {},
            413,
            "a picture may have 160,000 pixels, and this has 500×400",
        ),
        (
            "/predict?dataset=fgvc",
            b"no picture",
            {},
            400,
            "10 bytes cannot be decoded as a picture: its content is none of ",
        ),
        ("/predict", b"", {}, 400, "no picture: send the bytes of its file as the body"),
        ("/predict", b"--x", {"Content_Type": "multipart/form-data; boundary=x"}, 415, "send the bytes"),
        (
            "/predict?dataset=fvgc",
            chips("fgvc", 1)[0],
            {},
            400,
            "the model knows no dataset 'fvgc'; did you mean 'fgvc'?",
        ),
        ("/predict", png(Image.new("RGB", (7, 7))), {}, 400, "say whose head is to answer: dataset=planesnet ("),
        ("/predict?scale=big", b"x", {}, 400, "scale='big' is no number"),
        ("/predict?sclae=2", b"x", {}, 400, "no parameter sclae; there are dataset, scale, text, drawn, mask"),
        ("/predict?" + "text=a&" * 21, b"x", {}, 400, "at most 20 texts of 500 characters"),
        ("/predict", b"x", {"Origin": "https://elsewhere.example"}, 403, "pages of other addresses may not ask"),
        ("/nothing", b"x", {}, 404, "Not Found"),
    ],
    ids=lambda value: str(value)[:20] if isinstance(value, str) else None,
)
def test_what_is_refused_says_why_as_json(
    port: int, path: str, body: Any, headers: dict[str, str], status: int, message: str
) -> None:
    got, _, said = ask(port, path, body, **headers)
    assert got == status
    assert message in said["error"]


def test_a_body_as_curl_sends_it_is_a_picture(port: int) -> None:
    of_curl = {"Content_Type": "application/x-www-form-urlencoded"}
    status, _, said = ask(port, "/predict?dataset=planesnet", chips("planesnet", 1)[0], **of_curl)
    assert (status, said["dataset"]) == (200, "planesnet")


def test_a_name_that_points_here_from_elsewhere_is_refused(port: int) -> None:
    status, _, said = ask(port, "/about", method="GET", Host="evil.example")
    assert (status, said) == (400, "Invalid host header")


def test_the_page_may_load_itself_alone(port: int) -> None:
    parts = {path: ask(port, path, method="GET") for path in ("/", "/page.js", "/page.css")}
    for status, headers, text in parts.values():
        assert status == 200
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "//" not in text.replace("https://", "//").replace("http://", "//").replace("<!doctype", ""), (
            "no address"
        )
    page = parts["/"][2]
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "page.css", "page.js"]
    assert "innerHTML" not in parts["/page.js"][2], "names are text"


def test_it_tells_what_it_serves_and_its_limits(port: int) -> None:
    status, _, said = ask(port, "/about", method="GET")
    assert status == 200
    assert {name: each["classes"] for name, each in said["datasets"].items()} == {
        name: list(info.classes) for name, info in INFOS.items()
    }
    assert said["limits"] == {"bytes": 200_000, "pixels": 160_000, "waiting": 8, "batch": 4}
    assert ask(port, "/health", method="GET")[::2] == (200, {"status": "ok"})


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(weights: Path) -> None:
    line = [sys.executable, "-m", "raytune_planes", "serve", str(weights), "--port", "0"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        port = int(first.rsplit(":", 1)[1])
        assert first.startswith("Model of planesnet, hrplanes, fgvc: http://127.0.0.1:")
        try:
            status, _, _ = ask(port, "/predict?dataset=fgvc", chips("fgvc", 1)[0])
            process.send_signal(signal.SIGINT)
            assert (status, process.wait(60)) == (200, 0)
        finally:
            process.kill()


def test_a_port_that_is_taken_is_named() -> None:
    with listening("127.0.0.1", 0) as taken:
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(
            UserError, match=f"port {number} of 127.0.0.1 cannot be used .*; choose another with --port"
        ):
            listening("127.0.0.1", number)


def test_the_files_of_the_page_belong_to_the_package() -> None:
    folder = Path(serving.__file__).parent
    assert {path.name for path in folder.glob("page.*")} == {"page.html", "page.js", "page.css"}
