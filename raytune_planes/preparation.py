"""From settings and a data folder to what a trial trains on: decoded arrays and prompt embeddings."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from raytune_planes.catalog import entry
from raytune_planes.config import TrialConfig
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import Arrays, Info
from raytune_planes.datasets.cache import LIMIT_GIB, decode, default_cache
from raytune_planes.datasets.cleaning import read_plan
from raytune_planes.datasets.filling import Progress
from raytune_planes.datasets.splits import SEED
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.model.prompts import ensemble, sentences
from raytune_planes.model.text import encode_prompts
from raytune_planes.training.workers import pick_device

Say = Callable[[str], None]


WORTH_TELLING = 1000
"""Pictures that take a while to decode."""


@dataclass(frozen=True)
class SyntheticSizes:
    """How much data is drawn when no ``--data`` is given."""

    planesnet: int = 2000
    hrplanes: int = 16
    fgvc: int = 1200
    fgvc_classes: int = 20


def data_folder(data: Path | None) -> Path | None:
    """``data``, whole.

    Raises:
        UserError: it is no folder.
    """
    if data is not None and not data.is_dir():
        raise UserError(
            f"no folder {data}; --data names a folder that holds planesnet/, hrplanes/ and fgvc-aircraft-2013b/. "
            "Leave it out to run on synthetic data"
        )
    return data and data.resolve()


def synthetic_folder(cache: Path | None, say: Say, sizes: SyntheticSizes | None = None) -> Path:
    """A folder of synthetic pictures, drawn once and kept in the cache."""
    sizes = sizes or SyntheticSizes()
    name = f"synthetic-{sizes.planesnet}-{sizes.hrplanes}-{sizes.fgvc}-{sizes.fgvc_classes}"
    folder = (cache or default_cache()) / name
    if not folder.is_dir():
        say(
            f"No --data given: drawing SYNTHETIC data ({sizes.planesnet} chips, {sizes.hrplanes} scenes, "
            f"{sizes.fgvc} pictures of {sizes.fgvc_classes} variants)"
        )
        _draw(folder, sizes)
    return folder


def _draw(folder: Path, sizes: SyntheticSizes) -> None:
    """Draw beside, then rename: two studies that start at once, or a kill, never leave half a folder."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        synthesise(temporary, **asdict(sizes), seed=0)
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def open_data(
    config: TrialConfig,
    data: Path | None,
    cache: Path | None,
    say: Say = lambda _: None,
    limit_gib: float = LIMIT_GIB,
) -> dict[str, Arrays]:
    """The decoded arrays of every enabled dataset; decodes those that are not in the cache yet.

    ``limit_gib``: size of ``cache`` above which unused entries are removed, longest unopened first.

    Without ``data`` the standard datasets are synthetic, unless they have a root; any other dataset needs its root.

    Raises:
        UserError: files are missing or malformed; see each reader.
    """
    out = {}
    for name, settings in config.active.items():
        drawn = data is None and not settings.root and entry(name, settings.reader).standard
        folder = synthetic_folder(cache, say) if drawn else data
        plan = read_plan(Path(settings.clean), name) if settings.clean else None
        arrays = decode(
            reader(name, settings, folder, SEED),
            cache or default_cache(),
            progress=_quarters(name, say),
            limit_bytes=round(limit_gib * 2**30),
            plan=plan,
            say=say,
        )
        for warning in arrays.warnings:
            say(f"{name}: {warning}")
        out[name] = arrays
    return out


def _quarters(name: str, say: Say) -> Progress:
    """Tells how far the decoding of many pictures has come, four times in all."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if total >= WORTH_TELLING and 4 * done // total > told:
            told = 4 * done // total
            say(f"{name}: decoded {done:,} of {total:,} pictures")

    return progress


def embed_prompts(
    infos: Mapping[str, Info], config: TrialConfig, cache: Path | None, say: Say = lambda _: None
) -> dict[str, np.ndarray]:
    """Unit embeddings [K, W] of every dataset's class prompts; runs the text encoder only for those not cached.

    Raises:
        UserError: the text encoder is unavailable.
    """
    told = {name: sentences(i, config.datasets[name].prompt, config.text.templates) for name, i in infos.items()}
    flat = {name: [sentence for group in groups for sentence in group] for name, groups in told.items()}
    device = str(pick_device(config.devices.text))
    rows = encode_prompts(flat, config.text, device, (cache or default_cache()) / "prompts")
    shaped = {name: torch.from_numpy(rows[name]).unflatten(0, (len(groups), -1)) for name, groups in told.items()}
    return {name: ensemble(row_KTW).numpy() for name, row_KTW in shaped.items()}


def prompts_key(config: TrialConfig) -> str:
    """What the prompts' embeddings depend on: the text model, and the sentences that settings give."""
    text = [config.text.model, *([f"templates: {config.text.templates}"] if config.text.templates else [])]
    return "\n".join([*text, *(f"{n}: {d.prompt}" for n, d in config.datasets.items() if d.prompt)])
