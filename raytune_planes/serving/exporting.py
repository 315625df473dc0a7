"""A trained model as one file that other programs run without this package, checked beside the model itself."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from raytune_planes import __version__
from raytune_planes.datasets.loaders import normalise
from raytune_planes.errors import UserError, first_line
from raytune_planes.serving.export_formats import FORMATS, INPUT, Run, needed
from raytune_planes.serving.predictor import Predictor
from raytune_planes.tasks.prediction import Prediction, predicted

TOLERANCE = 1e-4
"""How much the answers of a file may differ from the model's: probabilities, shares of the picture, cosines."""
BATCH = 7
"""Pictures in one run of the check, so that fewer are in the last one: the number is free."""


@dataclass(frozen=True)
class Parity:
    """How far the file's answers are from the model's."""

    differences: Mapping[str, float]
    """The largest, by output."""
    pictures: int

    @property
    def largest(self) -> float:
        return max(self.differences.values())


def export(
    model: Predictor, dataset: str, kind: str, out: Path, pixels_NHWC: np.ndarray, tolerance: float = TOLERANCE
) -> Parity:
    """Write the part of ``model`` that answers for ``dataset`` to ``out``, if its answers are those of the model.

    Args:
        model: On the CPU.
        kind: One of ``FORMATS``.
        pixels_NHWC: uint8 pictures of the dataset's image size, on which the two are compared.

    Raises:
        UserError: packages are missing, the model cannot be written so, or the answers differ by more than
            ``tolerance``; ``out`` is then as it was.
    """
    needed(kind)
    form, answers = FORMATS[kind], Answers(model, dataset)
    pixels_NCHW = np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2))
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with _calm():
            try:
                about = json.dumps(answers.about(pixels_NCHW.shape[-1]))
                form.write(answers, torch.from_numpy(pixels_NCHW[:2]), answers.names, about, partial)
            except Exception as error:  # each exporter raises its own kinds, torch's own faults included
                raise UserError(
                    f"this model cannot be written as {kind}: {type(error).__name__}: {first_line(error)}; "
                    f"try another of {', '.join(FORMATS)}"
                ) from error
            parity = _compared(model, dataset, answers.names, form.read(partial), pixels_NCHW)
        if not parity.largest <= tolerance:
            raise UserError(
                f"{kind} answers otherwise than the model: the largest difference on {parity.pictures} pictures is "
                f"{parity.largest:.2e}, more than {tolerance:.0e}; nothing was written"
            )
        os.replace(partial, out)
    finally:
        partial.unlink(missing_ok=True)
    return parity


class Answers(nn.Module):
    """From uint8 pixels [N, 3, S, S] to all that the model says of pictures of one dataset, as a tuple."""

    def __init__(self, model: Predictor, dataset: str) -> None:
        super().__init__()
        self.network, self.dataset, self._model = model.model, dataset, (model,)  # a tuple: its parts are not ours
        side = side_of(model, dataset)
        found = model.predict(dataset, torch.zeros(1, 3, side, side, dtype=torch.uint8))
        self.names = tuple(name for name in OUTPUTS if _output(found, name) is not None)

    def forward(self, pixels_BCHW: Tensor) -> tuple[Tensor, ...]:
        image_BCHW = normalise(pixels_BCHW.to(torch.float32) / 255)
        found = predicted(self.network.tasks, self.network(self.dataset, image_BCHW))
        return tuple(_output(found, name) for name in self.names)

    def about(self, side: int) -> dict[str, Any]:
        """What someone who runs the file must know."""
        (model,) = self._model
        return {
            "raytune_planes": __version__,
            "dataset": self.dataset,
            "classes": list(model.infos[self.dataset].classes),
            "input": {INPUT: ["N", 3, side, side], "type": "uint8", "order": "RGB"},
            "outputs": {name: OUTPUTS[name] for name in self.names},
            "weights": weights_digest(model),
            "synthetic": None if model.synthetic is None else self.dataset in model.synthetic,
        }


def weights_digest(model: Predictor) -> str:
    """Of all that the network has learnt: a file that was exported from other weights answers otherwise."""
    digest = hashlib.sha256()
    for name, value in sorted(model.model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


OUTPUTS: Mapping[str, str] = {
    "probability": "[N, K] of the classes",
    "mask": "[N, H, W] probability of a plane in each pixel",
    "box_score": "[N, B] the surest first, 0 for none",
    "boxes": "[N, B, 4] left, top, right, bottom in shares of the picture",
    "oriented_score": "[N, B] of oriented boxes, the surest first, 0 for none",
    "oriented_boxes": "[N, B, 8] their corners x1, y1, ..., x4, y4 in shares of the picture",
    "embedding": "[N, W] unit rows in the space of the text encoder",
}


def _output(found: Prediction, name: str) -> Any:
    score = None if found.box_logit_BN is None else found.box_logit_BN.sigmoid()
    turned = None if found.oriented_logit_BN is None else found.oriented_logit_BN.sigmoid()
    return {
        "probability": found.probability_BK,
        "mask": found.mask_BHW,
        "box_score": score,
        "boxes": found.boxes_BN4,
        "oriented_score": turned,
        "oriented_boxes": found.oriented_BN8,
        "embedding": found.embedding_BW,
    }[name]


def noise(model: Predictor, dataset: str, pictures: int) -> np.ndarray:
    """uint8 [N, S, S, 3]: what the model could see of ``dataset``, coarse and fine, dark and light."""
    side = side_of(model, dataset)
    random, parts = np.random.default_rng(0), []
    for i in range(pictures):
        cells = -(-side // 2 ** (i % 4))
        coarse = random.integers(0, 256, (cells, cells, 3), dtype=np.uint8)
        parts.append(coarse.repeat(2 ** (i % 4), 0).repeat(2 ** (i % 4), 1)[:side, :side])
    return np.stack(parts)


def side_of(model: Predictor, dataset: str) -> int:
    """Of the pictures that the head of ``dataset`` takes, in pixels."""
    return model.learnt[dataset].seen.side(model.learnt[dataset].reader.image_size)


def compared(model: Predictor, dataset: str, run: Run, pixels_NHWC: np.ndarray) -> Parity:
    """How far the answers of a file that ``run`` runs are from the model's, whatever they are.

    Args:
        pixels_NHWC: uint8 pictures of the dataset's image size.
    """
    pixels_NCHW = np.ascontiguousarray(pixels_NHWC.transpose(0, 3, 1, 2))
    return _compared(model, dataset, Answers(model, dataset).names, run, pixels_NCHW)


def _compared(model: Predictor, dataset: str, names: Sequence[str], run: Run, pixels_NCHW: np.ndarray) -> Parity:
    found = model.predict(dataset, torch.from_numpy(pixels_NCHW))
    parts = [run(pixels_NCHW[i : i + BATCH]) for i in range(0, len(pixels_NCHW), BATCH)]
    differences = {}
    for place, name in enumerate(names):
        theirs, mine = np.concatenate([part[place] for part in parts]), _output(found, name).numpy()
        if theirs.shape != mine.shape:
            raise UserError(f"the file's {name} has the shape {theirs.shape}, the model's {mine.shape}")
        differences[name] = float(np.abs(theirs - mine).max(initial=0.0))
    return Parity(differences, len(pixels_NCHW))


@contextmanager
def _calm() -> Iterator[None]:
    """Exporters warn of their own insides, and log them."""
    logs = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [log.level for log in logs]
    for log in logs:
        log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in zip(logs, levels, strict=True):
            log.setLevel(level)
