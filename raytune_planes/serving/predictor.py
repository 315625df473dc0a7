"""One trained model, looking at pictures of any size as it did in training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from raytune_planes.arithmetic import autocast, precision, set_up
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.datasets.images import Source
from raytune_planes.datasets.loaders import normalise
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.model.bert import encode_prompts
from raytune_planes.processors import tensor_threads
from raytune_planes.scenes.boxes import detected
from raytune_planes.scenes.grid import Grid, Scored
from raytune_planes.scenes.oriented import Turned, detected_oriented
from raytune_planes.serving.learnt import Learnt, drawn, learnt
from raytune_planes.serving.slides import Slide
from raytune_planes.tasks.outputs import joined, mapped
from raytune_planes.tasks.prediction import Prediction, predicted
from raytune_planes.training import checkpoint
from raytune_planes.training.kept_model import KeptModel
from raytune_planes.training.passes import eval_batch
from raytune_planes.training.workers import pick_device

KEPT_TEXTS = 64
"""Sets of texts whose rows a model keeps."""


@dataclass(frozen=True)
class Inference:
    """What a model infers from one picture."""

    probability_NK: np.ndarray
    """Of the dataset's classes: one row, the mean over the tiles of a scene; of ``slide`` a row for each window."""
    tiles: int
    mask_HW: np.ndarray | None
    """Probability of a plane, float32, of all of the picture at the scale of training; None for datasets without
    masks."""
    similar_P: np.ndarray
    """For each free text its cosine with the picture; of a scene, the mean over tiles or windows."""
    text_P: np.ndarray
    """The same, divided by the learnt temperature."""
    boxes: tuple[Scored, ...] | None = None
    """Planes in the picture's pixels, the surest first; None where the model learnt no boxes."""
    oriented: tuple[Turned, ...] | None = None
    """Likewise as oriented boxes."""
    slide: Slide | None = None
    """Where the windows lie of a scene that was read by chips."""
    embedding_W: np.ndarray | None = None
    """The mean over tiles or windows, float32, in the space of the prompts; None of an ensemble."""


class Model(Protocol):
    """A single model or an ensemble of several."""

    config: TrialConfig
    infos: Mapping[str, Info]
    learnt: Mapping[str, Learnt]
    synthetic: tuple[str, ...] | None
    """The datasets whose pictures were drawn by this program; None where a checkpoint does not tell."""

    def infer(self, dataset: str, source: Source, texts: tuple[str, ...] = (), scale: float | None = None) -> Inference:
        """Through the head of ``dataset``, at ``scale`` source pixels for one of what it learnt (see ``Learnt.cut``).

        Raises:
            UserError: the model was not trained on it, or the picture cannot be decoded, or not be read at ``scale``.
        """
        ...


class InPlace(Protocol):
    """What answers for one dataset in the place of a model's network."""

    def predict(self, pixels_NCHW: torch.Tensor) -> Prediction:
        """Of uint8 pictures at the dataset's image size."""
        ...


class Predictor:
    """A trial's ``best.pt``, ready to answer."""

    def __init__(self, state: Mapping[str, Any], device: str = "auto") -> None:
        kept = KeptModel(state)
        self.config, self.infos = kept.config, kept.infos
        self.learnt: Mapping[str, Learnt] = learnt(state, self.config)
        self.synthetic = drawn(self.learnt)
        self.device = pick_device(device)
        set_up(self.device, self.config.devices.exact)
        self.threads = self.config.devices.threads
        """Of a CPU. Another number than that of the training rounds sums otherwise."""
        self.model = kept.network.to(self.device)
        # A jointly trained text encoder is used only when a text is given: transformers is slow to import.
        self._text_weights = kept.text_weights
        self.prompts: Mapping[str, torch.Tensor] = state["prompts"]
        """Of each dataset's classes, unit rows [K, W]."""
        self._texts: dict[tuple[str, ...], torch.Tensor] = {}
        self.in_place: Mapping[str, InPlace] = {}
        """By dataset, what answers in the network's place (``serving.exported``)."""

    @staticmethod
    def load(path: Path, device: str = "auto") -> Predictor:
        """Raises UserError when ``path`` is no readable checkpoint, or holds no model of ours."""
        state = checkpoint.load(path)
        with checkpoint.content_of(path):
            return Predictor(state, device)

    def infer(self, dataset: str, source: Source, texts: tuple[str, ...] = (), scale: float | None = None) -> Inference:
        """As in training: tiles of a scene, or the whole picture; and a scene by windows for a dataset of chips."""
        require(dataset, self.infos)
        cut, batches = self.pixels(dataset, source, scale)
        said = (self.predict(dataset, torch.from_numpy(some_NHWC).permute(0, 3, 1, 2)) for some_NHWC in batches)
        return self.inference(dataset, source, cut, said, texts)

    def inference(
        self,
        dataset: str,
        source: Source,
        cut: Grid | Slide | None,
        said: Iterable[Prediction],
        texts: tuple[str, ...] = (),
    ) -> Inference:
        """From what the model ``said`` of the pixels of ``source``, cut up so (see ``pixels``), batch by batch."""
        own = self.learnt[dataset]
        text_PW, parts, similar = self._embed(texts), list[Prediction](), list[torch.Tensor]()
        sum_W, count = torch.zeros(text_PW.shape[1]), 0
        for part in said:
            if part.embedding_BW is not None:
                similar.append(part.embedding_BW @ text_PW.T)
                sum_W, count = sum_W + part.embedding_BW.sum(0), count + len(part.embedding_BW)
            # The embeddings of a quarter of a million windows would fill the memory.
            parts.append(replace(part, embedding_BW=None))
        prediction: Prediction = joined(parts)
        grid, mask_HW, boxes = cut if isinstance(cut, Grid) else None, None, None
        if prediction.mask_BHW is not None and not isinstance(cut, Slide):
            mask_BHW = prediction.mask_BHW
            mask_HW = own.unframed(mask_BHW[0].numpy(), source) if grid is None else grid.blend(mask_BHW)
        if grid is not None and prediction.box_logit_BN is not None and prediction.boxes_BN4 is not None:
            boxes = detected(prediction.box_logit_BN, prediction.boxes_BN4, grid)
        turned = None
        if grid is not None and prediction.oriented_logit_BN is not None and prediction.oriented_BN8 is not None:
            turned = detected_oriented(prediction.oriented_logit_BN, prediction.oriented_BN8, grid)
        probability_NK, similar_P, temperature = (
            prediction.probability_BK,
            torch.cat(similar).mean(0),
            prediction.log_temperature,
        )
        assert probability_NK is not None, "every dataset has classes"
        assert temperature is not None, "every model embeds pictures"
        return Inference(
            probability_NK=(probability_NK if isinstance(cut, Slide) else probability_NK.mean(0, keepdim=True)).numpy(),
            tiles=1 if cut is None else len(probability_NK),
            mask_HW=mask_HW,
            similar_P=similar_P.numpy(),
            text_P=(similar_P / temperature.exp()).numpy(),
            boxes=boxes,
            oriented=turned,
            slide=cut if isinstance(cut, Slide) else None,
            embedding_W=(sum_W / count).numpy(),
        )

    def pixels(
        self, dataset: str, source: Source, scale: float | None = None
    ) -> tuple[Grid | Slide | None, Iterator[np.ndarray]]:
        """How the picture is cut up, and what the model sees of it: uint8 [N, S, S, 3], batch by batch.

        Raises:
            UserError: the picture cannot be decoded, or not be read at ``scale``.
        """
        own = self.learnt[dataset]
        cut = own.cut(source, scale)
        if cut is None:
            return None, iter([own.shown(source)])
        if isinstance(cut, Slide):
            return cut, map(own.seen.pixels, cut.pixels())
        return cut, iter([own.seen.pixels(np.stack(list(cut.pixels())))])

    def predict(self, dataset: str, pixels_NCHW: torch.Tensor) -> Prediction:
        """What all tasks say together of uint8 pictures at the dataset's image size (``datasets.crops.Seen``)."""
        if (other := self.in_place.get(dataset)) is not None:
            return other.predict(pixels_NCHW)
        return predicted(self.model.tasks, self.outputs(dataset, pixels_NCHW))

    @torch.no_grad()
    def outputs(self, dataset: str, pixels_NCHW: torch.Tensor) -> dict[str, Any]:
        """What each task says of uint8 pictures at the dataset's image size, float32 on the CPU.

        In the batches, the threads and the arithmetic of training's evaluation: of the same split in order, the same
        bit for bit. The threads of torch's default, one for each core, mostly wait for each other over a small picture.
        """
        parts = []
        low = precision(self.config.precision, self.config.devices.exact, self.device) == "bfloat16"
        with tensor_threads(self.threads):
            for some_BCHW in pixels_NCHW.split(eval_batch(pixels_NCHW.shape[-1])):
                image_BCHW = some_BCHW.to(self.device)
                image_BCHW = image_BCHW.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
                with autocast(self.device, low):
                    parts.append(self.model(dataset, normalise(image_BCHW)))
        return {task: mapped(answer, torch.Tensor.float) for task, answer in _joined(parts).items()}

    def _embed(self, texts: tuple[str, ...]) -> torch.Tensor:
        """Unit rows [P, W]; the text encoder runs once for each set of texts."""
        if not texts:
            return torch.zeros(0, self.model.projection.out_features)
        if texts not in self._texts:
            text, device = self.config.text, self.config.devices.text
            encoded = encode_prompts({"texts": texts}, text, device, weights=self._text_weights)
            if len(self._texts) >= KEPT_TEXTS:  # a server is asked about new ones for ever
                del self._texts[next(iter(self._texts))]
            self._texts[texts] = torch.from_numpy(encoded["texts"])
        return self._texts[texts]


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What each task says of some batches as of one."""
    return {task: joined([part[task] for part in parts]) for task in parts[0]}


def require(dataset: str, infos: Mapping[str, Info]) -> None:
    """Raises UserError when the model was not trained on ``dataset``."""
    if dataset not in infos:
        raise UserError(
            f"the model knows no dataset '{dataset}'{did_you_mean(dataset, infos)}; it was trained on "
            f"{', '.join(infos)}"
        )
