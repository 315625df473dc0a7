"""Which regions of a picture its class rests on: Grad-CAM on the encoder's last map."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.datasets.images import Source
from raytune_planes.datasets.loaders import normalise
from raytune_planes.network import Network
from raytune_planes.processors import tensor_threads
from raytune_planes.serving.answers import Answer
from raytune_planes.serving.ensemble import Ensemble
from raytune_planes.serving.predictor import Model, Predictor
from raytune_planes.serving.slides import Slide
from raytune_planes.serving.split_predictions import resized
from raytune_planes.training.passes import eval_batch


def explained(model: Model, answer: Answer) -> str:
    """The class that the regions of ``answer`` speak for: the likeliest one, or where planes are counted, planes."""
    classes = model.infos[answer.dataset].classes
    return answer.labels[0].label if answer.count is None else classes[model.learnt[answer.dataset].reader.sought]


def regions(model: Model, answer: Answer, source: Source, scale: float | None = None) -> np.ndarray:
    """How much each region of a picture speaks for the class ``explained``: float32 [H, W] of all of the picture.

    1 is the region that speaks most for it; all is 0 where none does. Tiles and windows of a scene count by their
    probability of the class, as they do in the answer; where they overlap, their mean. Members of an ensemble count by
    their weights for classes.

    Raises:
        UserError: as ``answers.answer`` for the same picture.
    """
    if isinstance(model, Ensemble):
        weights = model.rules[answer.dataset].classes_M
        maps = [(w, regions(m, answer, source, scale)) for m, w in zip(model.members, weights, strict=True) if w]
        height, width = maps[0][1].shape
        return relative(sum(w * resized(map_HW[None], height, width)[0] for w, map_HW in maps))
    assert isinstance(model, Predictor), "a model is a single one or an ensemble"
    name, own = answer.dataset, model.learnt[answer.dataset]
    cut, batches = model.pixels(name, source, scale)
    wanted = model.infos[name].classes.index(explained(model, answer))
    parts = (part for pixels_NHWC in batches for part in _parts(model, name, pixels_NHWC, wanted))
    if isinstance(cut, Slide):
        return relative(slid(cut, parts))
    maps_BHW = torch.cat(list(parts))
    if cut is not None:
        return relative(cut.blend(_enlarged(maps_BHW, cut.image_size)))
    side = own.seen.side(own.reader.image_size)
    seen_HW = own.unframed(_enlarged(maps_BHW, side)[0].numpy(), source)
    rows = own.reader.trim_bottom / (own.reader.size_of(source)[1] - own.reader.trim_bottom)  # the model sees no banner
    return relative(np.pad(seen_HW, ((0, round(rows * len(seen_HW))), (0, 0))))


def class_regions(network: Network, dataset: str, image_BCHW: Tensor, class_B: Tensor) -> tuple[Tensor, Tensor]:
    """Grad-CAM of normalised images of ``dataset`` on the encoder's last map, before it is refined.

    The same for every encoder: of a transformer, that map is its last tokens in their places. Attention roll-out
    (Abnar & Zuidema 2020) tells no class from another, and windowed or pooled attention has none. The encoder itself
    needs no gradient, so it may be frozen, and its activations are not kept.

    Args:
        network: In evaluation mode.
        dataset: Whose head is asked.
        image_BCHW: On the network's device.
        class_B: int64, the class of each image to explain.

    Returns:
        Maps [B, H / 8, W / 8], not negative, and the probabilities [B] of the classes.
    """
    with torch.no_grad():
        *finer, last_BCHW = network.encoded(dataset, image_BCHW)
        # Decoders of masks would hold many times the memory with their gradients, and score no class.
        one = network.answers(dataset, image_BCHW[:1], [map_BCHW[:1] for map_BCHW in (*finer, last_BCHW)])
        scoring = [
            name for name, said in one.items() if said is not None and network.tasks[name].kept(said) is not None
        ]
    assert len(scoring) == 1, "one task scores the classes"
    (task,) = scoring
    last_BCHW = last_BCHW.detach().requires_grad_()
    with torch.enable_grad():
        said = network.answers(dataset, image_BCHW, [*finer, last_BCHW], only=scoring)[task]
        score_BK = network.tasks[task].kept(said)
        assert score_BK is not None, "it had scores for one image"
        maps_BHW = grad_cam(last_BCHW, score_BK.gather(1, class_B[:, None])[:, 0])
    return maps_BHW, score_BK.detach().float().softmax(1).gather(1, class_B[:, None])[:, 0]


def grad_cam(map_BCHW: Tensor, score_B: Tensor) -> Tensor:
    """Selvaraju et al. 2017, eq. 1 and 2: each channel weighs as much as its places raise the score on average; what
    speaks against it is cut off.

    Args:
        map_BCHW: What the scores were computed from; it requires a gradient.
        score_B: Before the softmax, of the class to explain.

    Returns:
        [B, H, W], not negative.
    """
    (gradient_BCHW,) = torch.autograd.grad(score_B.sum(), map_BCHW)
    weight_BC11 = gradient_BCHW.mean((2, 3), keepdim=True)
    return (weight_BC11 * map_BCHW.detach()).sum(1).relu()


def slid(slide: Slide, parts: Iterable[Tensor]) -> np.ndarray:
    """The windows' maps, in batches, as one of the scene, float32 at the scale of the chips."""
    across, down = slide.starts
    places = ((left, top) for top in down for left in across)
    width, height = slide.picture.image.size
    summed_HW, count_HW = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for maps_BHW in parts:
        for map_SS in _enlarged(maps_BHW, slide.side).numpy():
            left, top = next(places)
            here = slice(top, top + slide.side), slice(left, left + slide.side)
            summed_HW[here] += map_SS
            count_HW[here] += 1
    return summed_HW / count_HW


def _parts(model: Predictor, dataset: str, pixels_NHWC: np.ndarray, wanted: int) -> Iterator[Tensor]:
    """Maps times the probability of the class, float32 on the CPU, in batches."""
    with tensor_threads(model.config.devices.threads):
        for some_NHWC in torch.from_numpy(pixels_NHWC).split(eval_batch(pixels_NHWC.shape[1])):
            image_BCHW = normalise(some_NHWC.to(model.device).permute(0, 3, 1, 2).float().div(255))
            class_B = torch.full((len(image_BCHW),), wanted, device=model.device)
            maps_BHW, probability_B = class_regions(model.model, dataset, image_BCHW, class_B)
            yield (maps_BHW * probability_B[:, None, None]).float().cpu()


def _enlarged(maps_BHW: Tensor, side: int) -> Tensor:
    return F.interpolate(maps_BHW[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]


def relative(map_HW: np.ndarray) -> np.ndarray:
    """The largest value becomes 1; all stays 0 where nothing is above it."""
    most = float(map_HW.max())
    return (map_HW / most).astype(np.float32) if most > 0 else np.zeros_like(map_HW, dtype=np.float32)
