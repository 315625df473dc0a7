"""A picture goes to the dataset that learnt pictures of its size; where that is none or several, nobody guesses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raytune_planes.datasets.sizes import Sizes
from raytune_planes.errors import UserError
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from raytune_planes.serving.learnt import Learnt
from raytune_planes.serving.routing import by_size
from tests.serving.test_answers import grey, scene

FGVC = Sizes.of([(1024, 695), (1200, 800), (800, 520), (1600, 1100)])
HRPLANES = Sizes.of([(4800, 2703), (2560, 2560)])
CHIPS = Sizes.of([(20, 20)])


@pytest.fixture
def learnt(weights: Path) -> dict[str, Learnt]:
    """As after a training on the public files."""
    sizes = {"planesnet": CHIPS, "hrplanes": HRPLANES, "fgvc": FGVC}
    return {name: replace(each, sizes=sizes[name]) for name, each in Predictor.load(weights).learnt.items()}


@pytest.mark.parametrize(
    ("width", "height", "dataset", "sizes"),
    [
        (20, 20, "planesnet", "20×20 px"),
        (24, 25, "planesnet", "20×20 px"),
        (4800, 2703, "hrplanes", "2560-4800×2560-2703 px"),
        (1024, 683, "fgvc", "800-1600×520-1100 px"),
    ],
)
def test_a_size_that_one_dataset_learnt_is_answered_by_it(
    learnt: dict[str, Learnt], width: int, height: int, dataset: str, sizes: str
) -> None:
    assert by_size(learnt, width, height) == (dataset, f"by size: it learnt pictures of {sizes}")


@pytest.mark.parametrize(("width", "height"), [(1225, 1139), (640, 640), (100, 80), (9000, 9000), (683, 1024)])
def test_a_size_that_no_dataset_learnt_is_refused_with_the_choices(
    learnt: dict[str, Learnt], width: int, height: int
) -> None:
    with pytest.raises(UserError) as refused:
        by_size(learnt, width, height)
    assert str(refused.value) == (
        f"a picture of {width}×{height} px is like those of no dataset that the model learnt, so say whose head is to "
        "answer: --dataset planesnet (chips, or scenes of them, learnt at 20×20 px); "
        "--dataset hrplanes (scenes, learnt at 2560-4800×2560-2703 px); "
        "--dataset fgvc (whole pictures, learnt at 800-1600×520-1100 px)"
    )


def test_a_size_that_two_datasets_learnt_is_refused(learnt: dict[str, Learnt]) -> None:
    learnt["hrplanes"] = replace(learnt["hrplanes"], sizes=FGVC)
    with pytest.raises(UserError, match="a picture of 1024×683 px fits hrplanes and fgvc, so say whose head"):
        by_size(learnt, 1024, 683)


def test_checkpoints_that_do_not_tell_sizes_do_not_guess(learnt: dict[str, Learnt]) -> None:
    older = {name: replace(each, sizes=None) for name, each in learnt.items()}
    with pytest.raises(UserError, match=r"--dataset hrplanes \(scenes\); --dataset fgvc \(whole pictures\)"):
        by_size(older, 20, 20)


def test_a_model_of_one_dataset_answers_every_size(learnt: dict[str, Learnt]) -> None:
    assert by_size({"fgvc": learnt["fgvc"]}, 7, 5000) == ("fgvc", "the only dataset of the model")


def test_the_answer_says_why(weights: Path) -> None:
    predictor = Predictor.load(weights)
    assert answer(predictor, scene()[0]).chosen == "by size: it learnt pictures of 300-320×260-320 px"
    assert answer(predictor, grey(70, 46)).dataset == "fgvc"
    assert answer(predictor, grey(70, 46), "planesnet").chosen == "asked for"
