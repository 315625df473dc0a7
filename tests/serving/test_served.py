"""A server says of a picture all that ``predict`` says, in JSON that every reader of JSON takes."""

from __future__ import annotations

import json
from pathlib import Path

from raytune_planes.serving import Predictor, serve
from raytune_planes.serving.answers import answer
from tests.serving.test_answers import grey, scene


def test_a_table_of_picture_files_becomes_the_answers_of_predict(weights: Path) -> None:
    import pandas

    source, _ = scene()
    table = pandas.DataFrame({"dataset": ["fgvc", "planesnet", ""], "image": [grey(30, 40), grey(20, 20), source]})
    told = serve({"checkpoint": str(weights)})(table)
    predictor = Predictor.load(weights)
    assert told == [answer(predictor, i, d).to_dict() for d, i in zip(table["dataset"], table["image"], strict=True)]
    assert [each["dataset"] for each in told] == ["fgvc", "planesnet", "hrplanes"]
    assert len(told[0]["labels"]) == 5
    assert told[2]["count"] == len(told[2]["planes"]) > 0
    assert json.loads(json.dumps(told, allow_nan=False)) == told


def test_a_picture_that_cannot_be_answered_does_not_cost_the_others_their_answers(weights: Path) -> None:
    table = {"dataset": ["planesnet", "", "fvgc", "planesnet"], "image": [b"abc", grey(999, 7), b"", grey(20, 20)]}
    told = serve({"checkpoint": str(weights)})(table)
    assert [set(each) for each in told[:3]] == [{"error"}] * 3
    assert "3 bytes cannot be decoded as a picture" in told[0]["error"]
    assert "say whose head is to answer: --dataset planesnet (" in told[1]["error"]
    assert told[3]["dataset"] == "planesnet"
