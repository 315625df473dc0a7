"""What a study on the datasets that were looked at will need: disk, time to decode, memory, and time to train."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import psutil

from raytune_planes.config import TrialConfig
from raytune_planes.datasets import estimate
from raytune_planes.datasets.base import Arrays, Listing, Reader
from raytune_planes.model import check_encoder
from raytune_planes.printing import counted, roughly, size_text
from raytune_planes.processors import tensor_threads
from raytune_planes.training.size import size_of
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker

TEXT_WIDTH = 384
"""Of the packaged text encoder; what a step costs hardly depends on it."""
STEPS, SECONDS = 4, 4.0
"""Steps of a round for each dataset, and how long rounds are measured for."""


def of_datasets(
    found: Mapping[str, Listing],
    readers: Mapping[str, Reader],
    config: TrialConfig,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """By dataset what it costs, as JSON holds it; under ``training`` what all of them cost together.

    Args:
        found: what each dataset holds.
        config: of the study, with just these datasets.
        say: gets the sentences of ``lines``, each as soon as it is known.

    Raises:
        UserError: no picture of a dataset can be decoded, or the settings do not fit the datasets.
    """
    for _, stage in config.staged:
        check_encoder(stage.model.backbone)  # before the pictures, which take longer
    told: dict[str, Any] = {}
    data: dict[str, Arrays] = {}
    for name, listing in found.items():
        decoding, data[name] = estimate.measure(readers[name], listing)
        told[name] = {
            "samples": decoding.samples,
            "decoded_bytes": decoding.decoded_bytes,
            "disk_bytes": decoding.disk_bytes,
            "compressed": decoding.compressed,
            "decode_seconds": round(decoding.seconds, 1 if decoding.seconds > 10 else 4),
            "processors": decoding.processors,
            "measured_on": decoding.measured,
        }
        say(_of_dataset(name, told[name]))
    shared = sum(own["disk_bytes"] for own in told.values())
    training = {**_training(data, config), "shared_bytes": shared}
    for sentence in _of_training(training):
        say(sentence)
    return {"datasets": told, "training": training}


def lines(told: Mapping[str, Any]) -> Iterator[str]:
    """``told`` is what ``of_datasets`` gives."""
    yield from (_of_dataset(name, own) for name, own in told["datasets"].items())
    yield from _of_training(told["training"])


def _of_dataset(name: str, own: Mapping[str, Any]) -> str:
    kept = f", compressed to {size_text(own['disk_bytes'])} in the cache" if own["compressed"] else " in the cache"
    return (
        f"{name}: {own['samples']:,} samples take {size_text(own['decoded_bytes'])}{kept}; decoding takes about "
        f"{roughly(own['decode_seconds'])} on {counted(own['processors'], 'processor')}, measured on "
        f"{own['measured_on']:,} of them"
    )


def _of_training(own: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"training: about {counted(own['samples_per_hour'], 'sample')} ({counted(own['steps_per_hour'], 'step')}) "
        f"an hour for a trial with {counted(own['threads'], 'thread')}, {size_text(own['memory_bytes'])} of memory for "
        f"each trial, and for all of them together up to {size_text(own['shared_bytes'])} of decoded pictures; "
        f"a trial of {counted(own['trial_samples'], 'sample')} takes about {roughly(own['trial_seconds'])} and its "
        "validation"
    )
    alone = [f"{name} {count:,}" for name, count in own["own_parameters"].items() if count]
    yield f"model: {own['parameters']:,} parameters" + (
        f", of which in the image encoder for one dataset alone (model.sharing): {', '.join(alone)}" if alone else ""
    )


def _training(data: Mapping[str, Arrays], config: TrialConfig) -> dict[str, Any]:
    random = np.random.default_rng(0)
    rows = {name: random.normal(size=(len(a.info.classes), TEXT_WIDTH)) for name, a in data.items()}
    prompts = {name: (r / np.linalg.norm(r, axis=1, keepdims=True)).astype(np.float32) for name, r in rows.items()}
    with tensor_threads(config.devices.threads):
        trainer = Trainer(config, data, prompts, LocalWorker(config.devices.vision))
        trainer.begin()

        def round_of_steps() -> int:
            order = trainer.mixer.epoch(STEPS * len(data))
            trainer.train_epoch(order)
            return len(order)

        round_of_steps()  # the first one allocates
        steps, started = 0, time.perf_counter()
        while steps == 0 or time.perf_counter() - started < SECONDS:
            steps += round_of_steps()
        model = trainer.model
        per_hour = 3600 * steps / (time.perf_counter() - started)
    samples, size = config.split.trainings * config.samples, size_of(model, config)
    return {
        "steps_per_hour": round(per_hour),
        "samples_per_hour": round(per_hour * config.budget.batch_size),
        "threads": config.devices.threads,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "own_parameters": {name: model.own_parameters(name) for name in data},
        "weights_bytes": size.weights,
        "state_bytes": size.state,
        "trial_samples": samples,
        "trial_seconds": round(samples / (per_hour * config.budget.batch_size) * 3600, 1),
        "memory_bytes": psutil.Process().memory_info().rss,
    }
