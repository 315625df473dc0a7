"""The predictions of a trial's best epoch for every validation picture: for reports and ensembles, in ``val.npz``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raytune_planes.errors import UserError
from raytune_planes.paths import regular
from raytune_planes.tracking.files import write_whole

VALIDATION = "val.npz"
FIELDS = ("logits", "labels", "pictures")


@dataclass(frozen=True)
class Predictions:
    """One dataset's classification of a split, in the split's order: equal ``pictures`` align two trials."""

    logits_NK: np.ndarray
    """float32, less each picture's largest: the best class has 0. Softmax and order are those of the model."""
    labels_N: np.ndarray
    """int64, the true classes."""
    pictures_N: np.ndarray
    """int64 indexes into the dataset's arrays; they depend on its files and its ``tile``, not on ``image_size``."""


def probabilities(logits_NK: np.ndarray) -> np.ndarray:
    """Softmax over each row."""
    powers_NK: np.ndarray = np.exp(logits_NK - logits_NK.max(1, keepdims=True, initial=-np.inf))
    return powers_NK / powers_NK.sum(1, keepdims=True)


def out_of_fold(predictions: Sequence[Mapping[str, Predictions]]) -> dict[str, Predictions]:
    """The answers of all folds as one split, in the order of the pictures."""
    out = {}
    for name in predictions[0]:
        parts = [each[name] for each in predictions]
        order = np.argsort(np.concatenate([p.pictures_N for p in parts]))
        logits_NK, labels_N, pictures_N = (
            np.concatenate([getattr(p, field) for p in parts])[order]
            for field in ("logits_NK", "labels_N", "pictures_N")
        )
        out[name] = Predictions(logits_NK, labels_N, pictures_N)
    return out


def join_validation(folder: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write ``predictions`` of a fold into the ``val.npz`` of ``folder``, beside those of other pictures.

    Raises:
        UserError: as ``read_validation`` does.
    """
    others = {}
    for name, kept in read_validation(folder).items():
        other_N = ~np.isin(kept.pictures_N, predictions[name].pictures_N)
        others[name] = Predictions(kept.logits_NK[other_N], kept.labels_N[other_N], kept.pictures_N[other_N])
    write_validation(folder, out_of_fold([others, predictions]))


def write_validation(folder: Path, predictions: Mapping[str, Predictions]) -> None:
    """Write ``val.npz`` into ``folder``, whole or not at all.

    Half precision loses no order at the top: the largest logit of a picture becomes 0, where its steps are finest.
    """
    columns: dict[str, np.ndarray] = {}
    for name, given in predictions.items():
        logits_NK = given.logits_NK - given.logits_NK.max(1, keepdims=True, initial=-np.inf)
        half_NK = np.maximum(logits_NK, np.finfo(np.float16).min).astype(np.float16)
        columns |= dict(zip(_keys(name), (half_NK, given.labels_N, given.pictures_N), strict=True))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **columns)
    write_whole(folder / VALIDATION, buffer.getvalue())


def read_validation(folder: Path) -> dict[str, Predictions]:
    """The predictions kept in a trial's folder, by dataset.

    Raises:
        UserError: there are none (the trial ended before its first epoch, or an older version trained it), or the file
            is damaged.
    """
    path = folder / VALIDATION
    try:
        with regular(path).open("rb") as file, np.load(file, allow_pickle=False) as stored:
            names = [key.removesuffix("/labels") for key in stored.files if key.endswith("/labels")]
            parts = {name: [stored[key] for key in _keys(name)] for name in names}
    except FileNotFoundError:
        raise UserError(
            f"no validation predictions in {folder}: it has no {VALIDATION}, which a trial's first epoch writes"
        ) from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read: {error}; delete it, and what needs it is computed again") from None
    return {name: Predictions(logits.astype(np.float32), *rest) for name, (logits, *rest) in parts.items()}


def _keys(name: str) -> list[str]:
    return [f"{name}/{field}" for field in FIELDS]
