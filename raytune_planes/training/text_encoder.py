"""The text encoder that is trained jointly, if a trial asks for one, and its device."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from raytune_planes.config import TrialConfig
from raytune_planes.datasets.base import Info
from raytune_planes.errors import UserError
from raytune_planes.model.prompts import sentences
from raytune_planes.model.tuned import PromptEncoder
from raytune_planes.training.workers import Worker, pick_device


def text_encoder(config: TrialConfig, infos: Mapping[str, Info], worker: Worker) -> PromptEncoder | None:
    """None where ``text.freeze`` is true: only a trial that asks for more pays for the import of transformers.

    Raises:
        UserError: the model or the templates are unavailable, or its device is.
    """
    if config.text.freeze:
        return None
    text_device(config.devices.text, worker)
    grouped = {n: sentences(info, config.datasets[n].prompt, config.text.templates) for n, info in infos.items()}
    return PromptEncoder(grouped, config.text.model)


def text_device(setting: str, worker: Worker) -> torch.device:
    """Where the text encoder runs; ``setting`` is that of ``devices.text``.

    Raises:
        UserError: several workers, and another kind of device than that of the images.
    """
    device, images = pick_device(setting), worker.device
    if device.type == images.type:
        return images
    if worker.world > 1:  # they average the gradients of one model, which lies on one kind of device
        raise UserError(
            f"devices.text = {setting} puts the text encoder on {device.type} and the images are on {images.type}: "
            f"with {worker.world} workers and text.freeze=false both train on one kind of device; set devices.text "
            f"to auto, or train with one worker"
        )
    return device
