"""Opening data: how far decoding has come is told, and what the cache may hold is respected."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from raytune_planes.datasets.storage import ENTRY
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.model.bert import encode_prompts
from raytune_planes.model.prompts import ensemble, sentences
from raytune_planes.preparation.data import WORTH_TELLING, open_data
from raytune_planes.preparation.prompts import embed_prompts, prompts_key
from raytune_planes.settings import make_config
from tests.berts import tiny_bert
from tests.toy import INFOS


def test_decoding_many_pictures_tells_its_quarters_and_a_limit_keeps_only_what_is_in_use(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", planesnet=WORTH_TELLING, hrplanes=0, fgvc=0, fgvc_classes=0, seed=0)
    cache = tmp_path / "cache"
    others = {f"datasets.{name}.enabled": False for name in ("hrplanes", "fgvc")}
    said: list[str] = []

    def open_at(side: int, limit_gib: float) -> str:
        config = make_config(others, {"datasets.planesnet.image_size": side})
        return open_data(config, tmp_path / "data", cache, said.append, limit_gib)["planesnet"].fingerprint

    first, second = open_at(24, 1.0), open_at(32, 1.0)
    told = [line for line in said if "decoded" in line]
    assert len(told) == 8, "four for each size"
    assert told[3] == told[7] == "planesnet: decoded 1,000 of 1,000 pictures"
    entries = {p.name for p in cache.iterdir() if ENTRY.fullmatch(p.name)}
    assert entries == {first, second}

    assert open_at(24, 0.0) == first
    assert {p.name for p in cache.iterdir() if ENTRY.fullmatch(p.name)} == {first}
    assert len([line for line in said if "decoded" in line]) == 8, "a second time nothing is decoded"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # swig types inside the tokenizer's library
def test_each_class_has_the_ensemble_of_its_sentences_and_other_sentences_are_not_read_from_the_cache(
    tmp_path: Path,
) -> None:
    (tmp_path / "two.txt").write_text("a {class}\na photo of a {class}\n")
    several = {"text.model": str(tiny_bert(tmp_path / "bert")), "text.templates": str(tmp_path / "two.txt")}
    own = {"datasets.fgvc.prompt": "soup of {class}"}
    layers = {"one": {**several, "text.templates": ""}, "several": several, "own": {**several, **own}}
    found, keys = {}, set()
    for name, layer in layers.items():
        config = make_config(layer)
        keys.add(prompts_key(config))
        found[name] = embed_prompts(INFOS, config, tmp_path / "cache")
        told = sentences(INFOS["fgvc"], config.datasets["fgvc"].prompt, config.text.templates)
        flat = encode_prompts({"fgvc": [sentence for group in told for sentence in group]}, config.text)["fgvc"]
        expected = ensemble(torch.from_numpy(flat).view(len(told), -1, 32)).numpy()
        np.testing.assert_allclose(found[name]["fgvc"], expected, atol=1e-5)
    assert len(keys) == 3
    assert np.abs(found["one"]["planesnet"] - found["several"]["planesnet"]).max() > 0.01
    np.testing.assert_allclose(found["own"]["planesnet"], found["several"]["planesnet"], atol=1e-5)
    assert np.abs(found["own"]["fgvc"] - found["several"]["fgvc"]).max() > 0.01
