"""A checkpoint answers outside of training as the model did inside."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from raytune_planes.datasets.eval_batches import eval_batches
from raytune_planes.errors import UserError
from raytune_planes.serving import Predictor
from raytune_planes.serving.answers import answer
from tests.toy import INFOS, toy_data


def png(pixels_HWC: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels_HWC).save(file, "PNG")
    return file.getvalue()


def grey(width: int, height: int) -> bytes:
    return png(np.full((height, width, 3), 128, np.uint8))


def photo(pixels_HWC: np.ndarray) -> bytes:
    """With a banner of 20 rows below, as FGVC's files have one."""
    banner = np.random.default_rng(1).integers(0, 256, (20, pixels_HWC.shape[1], 3), dtype=np.uint8)
    return png(np.concatenate([pixels_HWC, banner]))


def scene() -> tuple[bytes, tuple[int, int, int, int]]:
    """A scene of 300 x 260 with one bar, four times as large as in the toy data, and the bar's box."""
    pixels_HWC = np.random.default_rng(0).integers(0, 120, (65, 75, 3), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    pixels_HWC[120:132, 160:200] = (10, 250, 10)
    return png(pixels_HWC), (160, 120, 200, 132)


def test_a_picture_gets_the_answer_that_the_model_gives_its_pixels(weights: Path) -> None:
    predictor, arrays = Predictor.load(weights), toy_data()["fgvc"]
    (batch,) = eval_batches(arrays, "test", 64)
    with torch.no_grad():
        expected_BK = predictor.model("fgvc", batch.image_BCHW)["classification"].logits_BK.softmax(1)
    for i, probability_K in zip(arrays.splits["test"], expected_BK, strict=True):
        told = answer(predictor, photo(arrays.images_NHWC[i]), "fgvc")
        order = probability_K.argsort(descending=True).tolist()[:5]
        assert [label for label, _ in told.labels] == [INFOS["fgvc"].classes[k] for k in order]
        assert [p for _, p in told.labels] == pytest.approx(probability_K[order].tolist(), abs=1e-5)


def test_a_tile_gets_the_mask_that_the_model_gives_its_pixels(weights: Path) -> None:
    predictor, arrays = Predictor.load(weights), toy_data()["hrplanes"]
    (batch,) = eval_batches(arrays, "test", 64)
    with torch.no_grad():
        expected_BHW = predictor.model("hrplanes", batch.image_BCHW)["segmentation"].sigmoid()
    look = predictor.infer("hrplanes", png(arrays.images_NHWC[arrays.splits["test"][0]]))
    assert look.tiles == 1
    assert look.mask_HW == pytest.approx(expected_BHW[0].numpy(), abs=1e-5)


def test_a_plane_in_a_scene_is_found_where_it_is(weights: Path) -> None:
    source, (left, top, right, bottom) = scene()
    told = answer(Predictor.load(weights), source)
    assert (told.dataset, told.width, told.height) == ("hrplanes", 300, 260)
    assert told.tiles > 4 * 5  # they overlap
    assert told.mask is not None
    assert told.mask.shape == (65, 75)
    truth_HW = np.zeros((65, 75), bool)
    truth_HW[top // 4 : bottom // 4, left // 4 : right // 4] = True
    found_HW = told.mask > 0.5
    assert (found_HW & truth_HW).sum() / (found_HW | truth_HW).sum() > 0.3
    x0, y0, x1, y1 = told.planes[0]
    assert x0 <= (left + right) / 2 <= x1
    assert y0 <= (top + bottom) / 2 <= y1


def test_what_does_not_apply_is_left_out(weights: Path) -> None:
    predictor = Predictor.load(weights)
    photograph = answer(predictor, grey(50, 40), "fgvc").to_dict()
    assert photograph.keys() == {"dataset", "chosen", "size", "tiles", "synthetic", "labels"}
    masked = answer(predictor, grey(50, 40), "hrplanes").to_dict()
    assert masked.keys() - photograph.keys() == {"covered", "count", "counted_by", "count_error", "planes"}
    json.dumps(photograph, allow_nan=False)


def with_texts(weights: Path, *texts: str) -> tuple[Predictor, bytes, torch.Tensor]:
    """A model that knows the texts (the toy model's space has no text encoder), a picture, and their cosines."""
    predictor, pixels = Predictor.load(weights), toy_data()["fgvc"].images_NHWC[0]
    rows_PW = predictor._texts[texts] = torch.eye(12)[: len(texts)]
    output = predictor.outputs("fgvc", torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
    return predictor, photo(pixels), output["contrastive"].embedding_BW[0] @ rows_PW.T


def test_texts_are_weighed_against_each_other_in_the_space_that_the_picture_was_taught(weights: Path) -> None:
    texts = ("one", "another", "a third")
    predictor, source, cosine_P = with_texts(weights, *texts)
    told = answer(predictor, source, "fgvc", [*texts, "another"])  # a text that is given twice is one
    expected_P = (cosine_P / predictor.model.state_dict()["log_temperature"].exp()).softmax(0)
    assert [text.text for text in told.texts] == list(texts)
    assert [text.similarity for text in told.texts] == pytest.approx(cosine_P.tolist(), abs=1e-5)
    assert [text.probability for text in told.texts] == pytest.approx(expected_P.tolist(), abs=1e-5)
    assert told.to_dict()["texts"][0].keys() == {"text", "similarity", "probability"}


def test_one_text_alone_has_a_similarity_and_no_probability(weights: Path) -> None:
    predictor, source, cosine_P = with_texts(weights, "alone")
    told = answer(predictor, source, "fgvc", ["alone"])
    assert told.texts[0].probability is None
    assert told.to_dict()["texts"] == [{"text": "alone", "similarity": pytest.approx(cosine_P.item(), abs=1e-5)}]


def test_an_unknown_dataset_is_refused(weights: Path) -> None:
    with pytest.raises(UserError, match="the model knows no dataset 'fgvcc'; did you mean 'fgvc'"):
        answer(Predictor.load(weights), grey(20, 20), "fgvcc")


def test_bytes_that_are_no_picture_are_refused(weights: Path) -> None:
    with pytest.raises(UserError, match="3 bytes cannot be decoded as a picture"):
        answer(Predictor.load(weights), b"abc")
