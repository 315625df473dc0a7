"""The features of a frozen encoder: computed once, kept beside the decoded pictures, shared by trials and hosts."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path

import numpy as np
import torch

from raytune_planes.config import TrialConfig
from raytune_planes.datasets import building, storage
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import LIMIT_GIB, SMALL_BYTES
from raytune_planes.datasets.loaders import Batch, BatchStream, TrainStream, normalise
from raytune_planes.datasets.pixels import Pixels
from raytune_planes.errors import DISK_FULL, UserError
from raytune_planes.model.backbones import Pyramid
from raytune_planes.network import Network
from raytune_planes.training.frozen_features import (
    BOXES,
    LABELS,
    MASKS,
    Features,
    FeatureStream,
    Wanted,
    view_draws,
    why_not,
)
from raytune_planes.training.left_out import digest

FORMAT = 1
"""Of what an entry of the cache holds."""
MOST_IN_MEMORY = 2**30
"""Bytes of the features of pictures that are in no cache."""
AT_ONCE = 64
"""Pictures in one pass of the encoder."""
BESIDE = {
    "enabled",
    "prompt",
    "weight",
    "share",
    "limit",
    "class_balanced",
    "kept",
    "head",
    "stop",
    "root",
    "clean",
    "link_roots",
    "teacher",
}
"""Settings of a dataset that change nothing of what is seen of a picture; ``fingerprint`` tells which pictures."""
Shapes = Mapping[str, tuple[tuple[int, ...], np.dtype]]
"""Of each array, without its first axis."""


def frozen_features(
    config: TrialConfig,
    model: Network,
    data: Mapping[str, Arrays],
    pixels: Mapping[str, Pixels],
    streams: Mapping[str, BatchStream],
    arithmetic: tuple[Callable[[], AbstractContextManager[object]], str],
    say: Callable[[str], None],
) -> dict[str, Features]:
    """The features of each dataset for which ``model.backbone.views`` asks for them and nothing keeps them from it.

    Args:
        arithmetic: Of the encoder, and in words.
        say: Told of each dataset whose features are computed afresh in every step, and why; the same on every worker.

    Raises:
        UserError: there is no room for them, or they exceed 16 bits.
    """
    backbone, found = config.model.backbone, dict[str, Features]()
    if not backbone.views or not (backbone.freeze or "backbone" in config.frozen):
        return found
    for name, arrays in data.items():
        tasks = {term: task for term, task in model.tasks.items() if task.wants(name)}
        fine = any(task.reads_fine_maps(name) for task in tasks.values())
        stream = streams[name]
        assert isinstance(stream, TrainStream), f"{name} has stored features already"
        asked = config.datasets[name]
        wanted = Wanted(arrays, pixels[name], stream, asked, backbone.views, fine, *arithmetic)
        kept = _trained_within(config, model.backbone) or why_not(wanted, tasks) or _stored(model.backbone, wanted)
        if isinstance(kept, Features):
            found[name] = kept
        else:
            say(f"{name}: features of the frozen encoder are computed afresh in every step: {kept}")
    return found


def _trained_within(config: TrialConfig, backbone: Pyramid) -> str:
    """Why what the datasets have of their own keeps features from being stored, in words; empty where it does not."""
    sharing = config.model.sharing
    if sharing == "stage":
        return "model.sharing = stage trains the last stage"
    if sharing == "adapters" and not backbone.adapts_held:
        return f"model.sharing = adapters changes the maps between the stages of {config.model.backbone.kind}"
    return ""


def feature_streams(
    features: Mapping[str, Features], streams: Mapping[str, BatchStream], config: TrialConfig
) -> dict[str, BatchStream]:
    """The training batches of the datasets whose features are kept."""
    found: dict[str, BatchStream] = {}
    for name, kept in features.items():
        stream = streams[name]
        assert isinstance(stream, TrainStream), f"{name} has stored features already"
        found[name] = FeatureStream(stream, kept, config.model.backbone.views, config.seed, name)
    return found


def _stored(backbone: Pyramid, wanted: Wanted) -> Features | str:
    """The features that ``wanted`` describes, computed by whoever asks first; or why they are not kept.

    Of processes that ask at the same time one computes and the others wait.

    Raises:
        UserError: there is no room for them, or they exceed 16 bits.
    """
    backbone.eval()
    name, cache = wanted.arrays.info.name, _cache_of(wanted.arrays)
    shapes = _shapes(backbone, wanted)
    size = wanted.rows * sum(int(np.prod(shape)) * dtype.itemsize for shape, dtype in shapes.values())
    limit = round(LIMIT_GIB * 2**30) if wanted.arrays.limit_bytes is None else wanted.arrays.limit_bytes
    if size > max(SMALL_BYTES, limit):
        return f"they would take {size / 2**30:,.1f} GiB, more than the {limit / 2**30:g} GiB of --cache-limit"
    if cache is None and size > MOST_IN_MEMORY:
        return f"they would take {size / 2**30:,.1f} GiB of memory, and the pictures are in no cache to keep them"
    if cache is None:  # pictures that are in memory, and so are their features
        parts = list(_computed(backbone, wanted))
        return Features(wanted, {key: np.concatenate([part[key] for part in parts]) for key in shapes})
    folder = cache / _key(backbone, wanted)
    try:
        kept = building.once(
            folder,
            ready=lambda: _opened(folder, wanted, shapes),
            build=lambda room: _write(room, backbone, wanted, shapes),
        )
        storage.evict(cache, limit, keep=folder)  # pictures and features that no process has open, the oldest first
        return kept
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise UserError(f"{name}: features of the frozen encoder cannot be kept in {cache}: {error}") from error
        raise UserError(
            f"{name}: no room for {size / 2**20:,.0f} MiB of features of the frozen encoder in {cache} "
            f"({error.strerror}); free some space, or set model.backbone.views=0 to compute them afresh in every step"
        ) from error


def _cache_of(arrays: Arrays) -> Path | None:
    """The cache that the decoded pictures are in; None where they are in memory."""
    file = getattr(arrays.labels_N, "filename", None)  # pictures may be no memory map
    folder = Path(file).parent if file else None
    return folder.parent if folder is not None and storage.ENTRY.fullmatch(folder.name) else None


def _key(backbone: Pyramid, wanted: Wanted) -> str:
    """Equal for equal features."""
    told = [
        FORMAT,
        digest(backbone.held()),
        backbone.as_held,
        wanted.arrays.fingerprint,
        wanted.pixels.side,
        wanted.asked.model_dump(exclude=BESIDE),
    ]
    told += [wanted.views, wanted.fine, wanted.named, wanted.pixels.has_boxes]
    told += ["decoded by a GPU"] if wanted.pixels.decoder else []  # whose pictures are some grey levels off
    found = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for rows in (wanted.train_T, wanted.val_V):
        found.update(rows.tobytes() + b"|")
    return found.hexdigest()[:32]


def _shapes(backbone: Pyramid, wanted: Wanted) -> Shapes:
    """Found on one picture."""
    first = next(_computed(backbone, wanted, at_once=1))
    return {key: (array.shape[1:], array.dtype) for key, array in first.items()}


def _computed(backbone: Pyramid, wanted: Wanted, at_once: int = AT_ONCE) -> Iterator[dict[str, np.ndarray]]:
    """The rows of all arrays in order, some at a time."""
    train_T, val_V, pixels = wanted.train_T, wanted.val_V, wanted.pixels
    for view in range(wanted.views):
        draws_TD, places_T2 = view_draws(pixels.name, view, len(train_T))
        for start in range(0, len(train_T), at_once):
            some = slice(start, start + at_once)
            yield _rows(backbone, wanted, wanted.stream.drawn(train_T[some], draws_TD[some], places_T2[some]))
    for start in range(0, len(val_V), at_once):
        chosen = val_V[start : start + at_once]
        image_BCHW, mask_BHW = pixels.at(chosen)
        labels_B, boxes_BM4 = pixels.labels(chosen), pixels.boxes(chosen)
        yield _rows(
            backbone, wanted, Batch(pixels.name, normalise(image_BCHW), labels_B, mask_BHW, boxes_BM4=boxes_BM4)
        )


@torch.no_grad()
def _rows(backbone: Pyramid, wanted: Wanted, batch: Batch) -> dict[str, np.ndarray]:
    with wanted.precision():
        maps = backbone.held_maps(batch.image_BCHW, fine=wanted.fine)
    found = {LABELS: batch.label_B.numpy(force=True)}
    for name, map_BCHW in maps.items():
        found[name] = map_BCHW.permute(0, 2, 3, 1).half().cpu().numpy()
        if not np.isfinite(found[name]).all():
            raise UserError(
                f"{wanted.arrays.info.name}: features of the frozen encoder exceed what 16 bits can hold; set "
                "model.backbone.views=0 to compute them afresh in every step"
            )
    if batch.mask_BHW is not None:
        found[MASKS] = batch.mask_BHW.to(torch.uint8).cpu().numpy()
    if batch.boxes_BM4 is not None:
        found[BOXES] = batch.boxes_BM4.cpu().numpy()
    return found


def _write(room: Path, backbone: Pyramid, wanted: Wanted, shapes: Shapes) -> None:
    with ExitStack() as stack:
        files = {key: stack.enter_context((room / f"{key}.npy").open("wb")) for key in shapes}
        for key, (shape, dtype) in shapes.items():
            header = {"descr": dtype.str, "fortran_order": False, "shape": (wanted.rows, *shape)}
            np.lib.format.write_array_header_1_0(files[key], header)
        for part in _computed(backbone, wanted):
            for key, array in part.items():
                files[key].write(np.ascontiguousarray(array).tobytes())
    storage.save(room / storage.WITNESS, np.concatenate([wanted.train_T, wanted.val_V]))
    storage.sync_folder(room)


def _opened(folder: Path, wanted: Wanted, shapes: Shapes) -> Features | None:
    """Call under ``storage.guard``."""
    try:
        with suppress(PermissionError):  # a cache that is read-only to us
            os.utime(folder)
        kept = {key: storage.mapped(folder / f"{key}.npy") for key in shapes}
        witness = storage.mapped(folder / storage.WITNESS)
    except (FileNotFoundError, ValueError):
        if folder.is_dir():
            storage.discard(folder)
        return None
    return Features(wanted, kept, witness)
