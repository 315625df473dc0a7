"""What a trial's model says of validation pictures, as numbers for figures: opens its weights and the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.commands.report_insight import insights
from raytune_planes.commands.study_data import study_arrays
from raytune_planes.config import TrialConfig
from raytune_planes.datasets.crops import Seen
from raytune_planes.datasets.loaders import normalise
from raytune_planes.errors import UserError
from raytune_planes.printing import printable
from raytune_planes.processors import tensor_threads
from raytune_planes.records import TrialRecord
from raytune_planes.report.figure import Figure, Missing
from raytune_planes.report.predictions import (
    Example,
    Examples,
    MaskExample,
    Masks,
    chosen,
    confusion,
    mask_iou,
    spread,
    worst_pairs,
)
from raytune_planes.settings import make_config
from raytune_planes.stores.address import Place
from raytune_planes.tasks.prediction import predicted
from raytune_planes.tracking.files import WEIGHTS, trial_folder
from raytune_planes.tracking.reading import StudyFiles
from raytune_planes.tracking.validation import Predictions, probabilities, read_validation
from raytune_planes.training.checkpoint import content_of, load
from raytune_planes.training.passes import eval_batch
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker

SHOWN = 4


def pictures(study: StudyFiles, trial: TrialRecord, data: Place | None, cache: Path | None) -> list[Figure] | Missing:
    """Confusion, worst pairs, masks and examples of ``trial``; what cannot be made says why.

    ``data`` and ``cache`` default to those that the study was started with.
    """
    folder = trial_folder(study.folder, trial.number, trial.trial_id)
    try:
        state = load(folder / WEIGHTS)
        with content_of(folder / WEIGHTS):
            config = make_config(state["config"], source=str(folder / WEIGHTS))
            classes = {name: tuple(map(printable, fields["classes"])) for name, fields in state["infos"].items()}
    except UserError as error:
        return Missing(str(error))
    try:
        trainer: Trainer | None = _trainer(study, config, state, data, cache)
        why = ""
    except UserError as error:
        trainer, why = None, str(error)
    try:
        predictions = read_validation(folder)
    except UserError as error:
        if trainer is None:
            return Missing(f"{error}; and the pictures to ask anew: {why}")
        with tensor_threads(config.devices.threads):
            trainer.evaluate("val")
        predictions = trainer.predictions()
    seen = [*_confusions(predictions, classes), *_examples(predictions, classes, trainer, why)]
    return seen if trainer is None else [*seen, *insights(trainer, predictions, state["prompts"])]


def _trainer(
    study: StudyFiles, config: TrialConfig, state: Mapping[str, Any], data: Place | None, cache: Path | None
) -> Trainer:
    """The trial's model over its data. Raises UserError: the data is not there, or is not what the study saw."""
    arrays = study_arrays(study, config, data, cache)
    with content_of("the trial's best.pt"):
        prompts = {name: rows.numpy() for name, rows in state["prompts"].items()}
        trainer = Trainer(config, arrays, prompts, LocalWorker(config.devices.vision))
        trainer.use(state["weights"])
    trainer.model.eval()
    return trainer


def _confusions(predictions: Mapping[str, Predictions], classes: Mapping[str, tuple[str, ...]]) -> Iterator[Figure]:
    """The dataset with most classes is the fine-grained one: its worst pairs follow."""
    finest = max(predictions, key=lambda d: predictions[d].logits_NK.shape[1])
    for name, given in sorted(predictions.items(), key=lambda pair: -pair[1].logits_NK.shape[1]):
        matrix = confusion(name, given.logits_NK, given.labels_N, classes.get(name, ()))
        title = f"{name}: confusion matrix"
        if not isinstance(matrix, Missing):
            title = f"{name}: confusion matrix (accuracy {matrix.accuracy:.1%})"
        yield Figure(f"confusion_{name}", title, "Each row sums to 1; the diagonal is correct.", matrix)
        if name == finest:
            worst = worst_pairs(matrix)
            caption = "Mistakes in both directions, of the pictures of both classes."
            if not isinstance(worst, Missing):
                caption += f" Pairs shown: {len(worst.pairs)}, with {worst.share:.0%} of all mistakes."
            yield Figure("worst_pairs", f"{name}: the pairs most often confused", caption, worst)


def _examples(
    predictions: Mapping[str, Predictions], classes: Mapping[str, tuple[str, ...]], trainer: Trainer | None, why: str
) -> Iterator[Figure]:
    for name, given in predictions.items():
        title = f"{name}: most confident correct and wrong predictions"
        caption = "Green: correct, orange: wrong; with the predicted probability."
        numbers = Missing(why) if trainer is None else Examples(_chosen_examples(trainer, name, given, classes[name]))
        yield Figure(f"examples_{name}", title, caption, numbers)
    for name in predictions:
        if trainer is None:
            continue
        if trainer.data[name].masks_NHW is not None:
            masks = _masks(name, trainer)
            n = 0 if isinstance(masks, Missing) else masks.looked_at
            caption = f"From the best to the worst of the {n} validation pictures with planes, evenly by rank."
            yield Figure(f"masks_{name}", f"{name}: predicted masks beside the ground truth", caption, masks)


def _chosen_examples(trainer: Trainer, name: str, given: Predictions, classes: tuple[str, ...]) -> tuple[Example, ...]:
    examples, arrays, seen = [], trainer.data[name], Seen.of(trainer.config.datasets[name])
    probability_NK = probabilities(given.logits_NK)
    for i in chosen(given.logits_NK, given.labels_N):
        predicted = int(given.logits_NK[i].argmax())
        image_HWC = seen.pixels(np.asarray(arrays.images_NHWC[given.pictures_N[i], None]))[0]
        truth, share = classes[int(given.labels_N[i])], float(probability_NK[i, predicted])
        examples.append(Example(arrays.info.name, image_HWC, truth, classes[predicted], share))
    return tuple(examples)


def _masks(name: str, trainer: Trainer) -> Masks | Missing:
    import torch

    arrays = trainer.data[name]
    assert arrays.masks_NHW is not None, "asked of a dataset without masks"
    val_N = arrays.splits["val"]
    with_planes = [int(i) for i in val_N if arrays.masks_NHW[i].any()]
    if not with_planes:
        return Missing(f"no validation picture of {name} has a plane")
    seen = Seen.of(trainer.config.datasets[name])
    images_NHWC = seen.pixels(np.asarray(arrays.images_NHWC[with_planes]))
    masks_NHW = seen.masks(np.asarray(arrays.masks_NHW[with_planes]))
    outputs = []
    with torch.no_grad(), tensor_threads(trainer.config.devices.threads):
        for part_NHWC in torch.from_numpy(images_NHWC).split(eval_batch(images_NHWC.shape[1])):
            image_NCHW = normalise(part_NHWC.permute(0, 3, 1, 2).float().div(255)).to(trainer.worker.device)
            mask_BHW = predicted(trainer.model.tasks, trainer.model(name, image_NCHW)).mask_BHW
            assert mask_BHW is not None, "asked of a dataset without masks"
            outputs.append(mask_BHW.float().cpu().numpy())
    predicted_NHW = np.concatenate(outputs)
    ious = [mask_iou(truth_HW, predicted_HW) for truth_HW, predicted_HW in zip(masks_NHW, predicted_NHW, strict=True)]
    examples = tuple(MaskExample(images_NHWC[i], masks_NHW[i], predicted_NHW[i], ious[i]) for i in spread(ious, SHOWN))
    return Masks(name, examples, len(ious))
