"""Prompts through the packaged BERT, and every way in which a model is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from raytune_planes.config import Text
from raytune_planes.errors import UserError
from raytune_planes.model.bert import encode_prompts
from tests.berts import tiny_bert

PROMPTS = {
    "chips": ["a photo of bare ground", "a photo of an airplane", "a photo of bare ground"],
    "types": ["a jet airliner in flight", "a bowl of soup"],
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # swig types inside the tokenizer's library


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    return encode_prompts(PROMPTS, Text())


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A folder of its own: whole until a test takes something away."""
    return tiny_bert(tmp_path / "bert", width=8)


def asked(model: Path | str) -> dict[str, np.ndarray]:
    return encode_prompts({"d": ["a plane", "soup"]}, Text(model=str(model)))


def test_each_dataset_gets_a_unit_row_per_prompt(rows: dict[str, np.ndarray]) -> None:
    assert {name: r.shape for name, r in rows.items()} == {"chips": (3, 384), "types": (2, 384)}
    assert all(r.dtype == np.float32 for r in rows.values())
    np.testing.assert_allclose(np.linalg.norm(np.concatenate(list(rows.values())), axis=1), 1, rtol=1e-5)


def test_equal_prompts_give_equal_rows_to_the_last_bit(rows: dict[str, np.ndarray]) -> None:
    assert (rows["chips"][0] == rows["chips"][2]).all()
    assert (rows["chips"][0] != rows["chips"][1]).any()


def test_the_encoder_is_a_trained_one(rows: dict[str, np.ndarray]) -> None:
    plane, jet, soup = rows["chips"][1], *rows["types"]
    assert plane @ jet > 0.4 > 0.2 > plane @ soup


def test_a_row_does_not_depend_on_what_is_encoded_beside_it(rows: dict[str, np.ndarray]) -> None:
    alone = encode_prompts({"one": [PROMPTS["types"][1]]}, Text())["one"][0]
    np.testing.assert_allclose(alone, rows["types"][1], atol=1e-5)


def test_the_cache_spares_the_encoder(tmp_path: Path, bert: Path) -> None:
    first = encode_prompts(PROMPTS, Text(model=str(bert)), cache=tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    np.savez(stored, rows_SW=np.full_like(np.concatenate(list(first.values())), 7))
    assert (encode_prompts(PROMPTS, Text(model=str(bert)), cache=tmp_path / "cache")["chips"] == 7).all()


def test_other_prompts_or_another_model_are_not_read_from_the_cache(tmp_path: Path, bert: Path) -> None:
    cache = tmp_path / "cache"
    encode_prompts({"d": ["a plane"]}, Text(model=str(bert)), cache=cache)
    encode_prompts({"d": ["soup"]}, Text(model=str(bert)), cache=cache)
    (bert / "more.txt").write_text("the folder's files changed")
    encode_prompts({"d": ["soup"]}, Text(model=str(bert)), cache=cache)
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 half a file", b"no archive"])
def test_a_damaged_cache_is_made_again(tmp_path: Path, bert: Path, damage: bytes) -> None:
    first = encode_prompts(PROMPTS, Text(model=str(bert)), cache=tmp_path / "cache")
    (stored,) = (tmp_path / "cache").iterdir()
    stored.write_bytes(damage)
    again = encode_prompts(PROMPTS, Text(model=str(bert)), cache=tmp_path / "cache")
    assert all((first[name] == again[name]).all() for name in PROMPTS)
    assert [f.name for f in (tmp_path / "cache").iterdir()] == [stored.name]


def test_a_folder_with_a_bert_works(bert: Path) -> None:
    assert asked(bert)["d"].shape == (2, 8)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("config.json", r"without config\.json\. Give"),
        ("model.safetensors", r"without model\.safetensors or pytorch_model\.bin"),
        ("vocab.txt", r"without tokenizer\.json or vocab\.txt.*text\.model=minilm is packaged and works offline"),
    ],
)
def test_a_folder_that_lacks_a_file_is_refused_by_its_name(bert: Path, file: str, message: str) -> None:
    (bert / file).unlink()
    with pytest.raises(UserError, match=message):
        asked(bert)


def test_truncated_weights_are_refused(bert: Path) -> None:
    weights = bert / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be loaded"):
        asked(bert)


def test_a_bert_with_an_untrained_part_is_refused(bert: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(bert / "model.safetensors")
    del weights["encoder.layer.0.attention.self.query.weight"]
    save_file(weights, bert / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 of BERT's weights, encoder\.layer\.0\.attention\.self\.query"):
        asked(bert)


def test_a_tokenizer_without_words_is_refused(bert: Path) -> None:
    (bert / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]))
    with pytest.raises(UserError, match="a tokenizer that knows no words"):
        asked(bert)


def test_a_model_that_is_no_bert_is_refused(bert: Path) -> None:
    config = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**config, "model_type": "roberta"}))
    with pytest.raises(UserError, match="is a 'roberta' model; give a BERT"):
        asked(bert)


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not an existing folder"):
        asked(tmp_path / "nowhere")


def test_a_hub_name_that_cannot_be_had_is_refused() -> None:
    with pytest.raises(UserError, match=r"'bert-nobody-has' cannot be loaded: .*hf download"):
        asked("bert-nobody-has")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused() -> None:
    with pytest.raises(UserError, match=r"devices\.text is cuda, but this machine shows no GPU"):
        encode_prompts(PROMPTS, Text(), device="cuda")


def test_auto_takes_what_there_is(rows: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(encode_prompts(PROMPTS, Text(), device="auto")["types"], rows["types"], atol=1e-4)


@pytest.mark.slow
def test_loading_prints_nothing_and_training_never_imports_transformers() -> None:
    code = (
        "import sys, raytune_planes.network, raytune_planes.balancing.rules\n"
        "import raytune_planes.model.bert as text\n"
        "assert 'transformers' not in sys.modules\n"
        "from raytune_planes.config import Text\n"
        "text.encode_prompts({'d': ['a plane']}, Text())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
