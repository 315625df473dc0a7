"""A file of ``export`` that answers in the place of a model's network, for one dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from raytune_planes.errors import UserError
from raytune_planes.paths import there
from raytune_planes.printing import printable
from raytune_planes.serving.export_formats import ABOUT, INPUT, Opened, Run, opened_onnx
from raytune_planes.serving.exporting import side_of, weights_digest
from raytune_planes.serving.predictor import Predictor
from raytune_planes.tasks.prediction import Prediction
from raytune_planes.training.passes import eval_batch


class Exported:
    """Run by ONNX Runtime, in the batches of ``Predictor.predict``."""

    def __init__(self, path: Path, model: Predictor, threads: int) -> None:
        """Raises UserError: it is no file that ``export --format onnx`` wrote, or one of another model's datasets."""
        if not there(path):
            raise UserError(f"no file {printable(path)}; 'export --format onnx' writes one")
        opened = opened_onnx(path, threads)
        if opened is None or ABOUT not in opened.said:
            raise UserError(f"{printable(path)} is no ONNX file of 'export --format onnx'")
        self._opened: Opened = opened
        self._name = path.name
        try:
            self.about = json.loads(opened.said[ABOUT])
            self.dataset, classes = str(self.about["dataset"]), list(self.about["classes"])
            self.side = int(self.about["input"][INPUT][-1])
            """Of the pictures that it takes, in pixels."""
            self._outputs = list(self.about["outputs"])
        except (ValueError, KeyError, TypeError, IndexError):
            raise UserError(f"{printable(path)} does not say of which model it is; export it again") from None
        info = model.infos.get(self.dataset)
        if info is None or list(info.classes) != classes:
            raise UserError(
                f"{printable(path)} answers for dataset '{self.dataset}' of another model: this one has "
                f"{', '.join(model.infos)}, or other classes of it; export it from this model"
            )
        if self.about.get("weights") != weights_digest(model) or self.side != side_of(model, self.dataset):
            raise UserError(
                f"{printable(path)} was exported from other weights than this model's, or by an earlier version: it "
                "would answer otherwise than the model; export it from this model"
            )
        one = model.predict(self.dataset, torch.zeros(1, 3, self.side, self.side, dtype=torch.uint8))
        self._log_temperature = one.log_temperature

    def __str__(self) -> str:
        """For people: what runs which file."""
        kind = "8-bit integers" if self.is_int8 else "floats"
        return f"ONNX Runtime, {printable(self._name)} ({kind})"

    @property
    def is_int8(self) -> bool:
        """Whether it computes with 8-bit integers."""
        return self._opened.int8

    @property
    def run(self) -> Run:
        """Its outputs in their order."""
        return self._opened.run

    def predict(self, pixels_NCHW: Tensor) -> Prediction:
        """As ``Predictor.predict`` of the file's dataset."""
        parts = [self._opened.run(np.ascontiguousarray(some.numpy())) for some in
                 pixels_NCHW.split(eval_batch(pixels_NCHW.shape[-1]))]  # fmt: skip
        out = {name: torch.from_numpy(np.concatenate([p[i] for p in parts])) for i, name in enumerate(self._outputs)}
        return Prediction(
            probability_BK=out.get("probability"),
            mask_BHW=out.get("mask"),
            box_logit_BN=_logit(out.get("box_score")),
            boxes_BN4=out.get("boxes"),
            oriented_logit_BN=_logit(out.get("oriented_score")),
            oriented_BN8=out.get("oriented_boxes"),
            embedding_BW=out.get("embedding"),
            log_temperature=self._log_temperature,
        )


def _logit(score_BN: Tensor | None) -> Tensor | None:
    return None if score_BN is None else score_BN.logit()
