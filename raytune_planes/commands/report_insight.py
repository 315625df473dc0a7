"""What a trial's predictions rest on, and where its pictures and prompts lie, as numbers for figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import torch
import torch.nn.functional as F

from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.loaders import normalise
from raytune_planes.printing import printable
from raytune_planes.processors import tensor_threads
from raytune_planes.report.embeddings import Embedded, evenly, in_a_plane
from raytune_planes.report.figure import Figure
from raytune_planes.report.predictions import EXAMPLES, Example, chosen
from raytune_planes.report.regions import Region, Regions
from raytune_planes.serving.regions import class_regions, relative
from raytune_planes.tasks.prediction import predicted
from raytune_planes.tracking.validation import Predictions, probabilities
from raytune_planes.training.passes import eval_batch
from raytune_planes.training.trainer import Trainer

SHOWN = EXAMPLES // 2
"""Pictures right, and as many wrong, of each dataset whose regions are shown."""


def insights(
    trainer: Trainer, predictions: Mapping[str, Predictions], prompts: Mapping[str, torch.Tensor]
) -> Iterator[Figure]:
    """The regions that some predictions of each dataset rest on, then the map of embeddings.

    Args:
        trainer: With the trial's weights, in evaluation mode.
        predictions: What the trial said of its validation pictures, by dataset.
        prompts: Unit rows of the classes [K, W], by dataset.
    """
    for name, given in predictions.items():
        caption = (
            "Below each picture, what speaks for the class that was said: yellow most, orange less, grey not "
            "(Grad-CAM, Selvaraju et al. 2017, on the encoder's last map; each relative to its largest value)."
        )
        yield Figure(f"regions_{name}", f"{name}: what predictions rest on", caption, _regions(trainer, name, given))
    embedded = {name: _embedded(trainer, name, given, prompts[name]) for name, given in predictions.items()}
    caption = (
        f"At most {max(len(e.labels_N) for e in embedded.values())} validation pictures of each dataset, by their true "
        "classes, and the prompts of the classes as stars, by their two principal components. Pictures lie near their "
        "prompts only where the contrast with prompts was learnt; near in the plane can be far in the space."
    )
    yield Figure("embeddings", "Embeddings of pictures and prompts", caption, in_a_plane(embedded))


def _regions(trainer: Trainer, name: str, given: Predictions) -> Regions:
    arrays = trainer.data[name]
    classes = [printable(text) for text in arrays.info.classes]
    probability_NK = probabilities(given.logits_NK)
    every = chosen(given.logits_NK, given.labels_N)
    said_N = given.logits_NK.argmax(1)
    right = [i for i in every if said_N[i] == given.labels_N[i]]
    wrong = [i for i in every if said_N[i] != given.labels_N[i]]
    found = []
    for i in [*right[:SHOWN], *wrong[:SHOWN]]:
        image_NHWC, said = _pixels(trainer, name, given.pictures_N[i : i + 1]), int(said_N[i])
        with tensor_threads(trainer.config.devices.threads):
            map_1HW, _ = class_regions(trainer.model, name, _normal(trainer, image_NHWC), torch.tensor([said]))
        map_HW = F.interpolate(map_1HW[None].float().cpu(), image_NHWC.shape[1:3], mode="bilinear")[0, 0].numpy()
        shown = Example(
            name, image_NHWC[0], classes[int(given.labels_N[i])], classes[said], float(probability_NK[i, said])
        )
        found.append(Region(shown, relative(map_HW)))
    return Regions(tuple(found))


def _embedded(trainer: Trainer, name: str, given: Predictions, prompts_KW: torch.Tensor) -> Embedded:
    places, rows = evenly(len(given.labels_N)), []
    images_NHWC = _pixels(trainer, name, given.pictures_N[places])
    with torch.no_grad(), tensor_threads(trainer.config.devices.threads):
        for start in range(0, len(places), most := eval_batch(images_NHWC.shape[1])):
            image_BCHW = _normal(trainer, images_NHWC[start : start + most])
            embedding_BW = predicted(trainer.model.tasks, trainer.model(name, image_BCHW)).embedding_BW
            assert embedding_BW is not None, "every model embeds pictures"
            rows.append(embedding_BW.float().cpu().numpy())
    classes = tuple(map(printable, trainer.data[name].info.classes))
    return Embedded(classes, given.labels_N[places], np.concatenate(rows), prompts_KW.float().numpy())


def _pixels(trainer: Trainer, name: str, pictures_N: np.ndarray) -> np.ndarray:
    """uint8 [N, S, S, 3] as the model sees them."""
    return Seen.of(trainer.config.datasets[name]).pixels(np.asarray(trainer.data[name].images_NHWC[pictures_N]))


def _normal(trainer: Trainer, image_NHWC: np.ndarray) -> torch.Tensor:
    return normalise(torch.from_numpy(image_NHWC).permute(0, 3, 1, 2).float().div(255)).to(trainer.worker.device)
