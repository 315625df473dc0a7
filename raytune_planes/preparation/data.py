"""The decoded arrays of every dataset of a trial: from a data folder, or from synthetic pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raytune_planes.catalog import entry
from raytune_planes.config import Dataset, TrialConfig
from raytune_planes.datasets import reader
from raytune_planes.datasets.base import Arrays, Reader
from raytune_planes.datasets.cache import LIMIT_GIB, decode, default_cache
from raytune_planes.datasets.cleaning import cleaned, picture_name, read_plan
from raytune_planes.datasets.fetching import fetched
from raytune_planes.datasets.filling import Progress
from raytune_planes.datasets.splits import SEED
from raytune_planes.errors import UserError
from raytune_planes.preparation.synthetic_folder import Say, synthetic_folder
from raytune_planes.stores.address import Place
from raytune_planes.tasks import TASKS

WORTH_TELLING = 1000
"""Pictures that take a while to decode."""


def data_folder(data: Place | None, cache: Path | None = None, limit_gib: float = LIMIT_GIB) -> Path | None:
    """``data``, whole; what lies at an address is fetched into ``cache`` first, see ``fetched``.

    Raises:
        UserError: it is not a folder, or the address cannot be read.
    """
    data = fetched(data, cache, limit_gib=limit_gib)
    if data is not None and not data.is_dir():
        raise UserError(
            f"no folder {data}; --data names a folder that holds planesnet/, hrplanes/ and fgvc-aircraft-2013b/, or "
            "the address of one, such as s3://BUCKET/PREFIX. Leave it out to run on synthetic data"
        )
    return data and data.resolve()


def open_data(
    config: TrialConfig,
    data: Path | None,
    cache: Path | None,
    say: Say = lambda _: None,
    limit_gib: float = LIMIT_GIB,
    beside: Sequence[TrialConfig] = (),
    at_once: bool = False,
) -> dict[str, Arrays]:
    """The decoded arrays of every enabled dataset; decodes those that are not in the cache yet.

    ``limit_gib``: size of ``cache`` above which unused entries are removed, longest unopened first.

    ``beside``: what will be asked for later: where pictures are decoded, they are at these sizes as well.

    ``at_once``: return before all pictures are decoded where that takes long; see ``decode``.

    Without ``data`` the standard datasets are synthetic, unless they have a root; any other dataset needs its root.

    Raises:
        UserError: files are missing or malformed; see each reader.
    """
    out = {}
    for name, settings in config.active.items():
        plan = read_plan(Path(settings.clean), name) if settings.clean else None
        more = dict.fromkeys(other.datasets[name] for other in beside if name in other.active)
        size = {"image_size": settings.image_size, "decoded_size": settings.decoded_size}
        same = [other for other in more if other.model_copy(update=size) == settings]
        arrays = decode(
            reader_of(name, settings, data, cache, say),
            cache or default_cache(),
            beside=[reader_of(name, other, data, cache, say) for other in same],
            progress=_quarters(name, say),
            limit_bytes=round(limit_gib * 2**30),
            plan=plan,
            say=say,
            at_once=at_once,
        )
        for warning in arrays.warnings:
            say(f"{name}: {warning}")
        for task in TASKS.values():
            upright = arrays.info.has_boxes and not arrays.info.has_oriented_boxes
            if task.reads_oriented and upright and getattr(config.losses, task.name).weight:
                say(f"{name}: labels hold no oriented boxes and no outlines; {task.name} learns upright boxes")
        out[name] = arrays
    return out


def reader_of(name: str, settings: Dataset, data: Path | None, cache: Path | None, say: Say = lambda _: None) -> Reader:
    """What reads the dataset's files: those of its root or in ``data``, else synthetic ones."""
    drawn = data is None and not settings.root and entry(name, settings.reader).standard
    return reader(name, settings, synthetic_folder(cache, say) if drawn else data, SEED)


def picture_names(name: str, settings: Dataset, data: Path | None, cache: Path | None) -> tuple[str, ...]:
    """What each picture of the decoded arrays is called in its dataset, in their order; a tile with its window."""
    own = reader_of(name, settings, data, cache)
    listing = own.scan()
    if settings.clean:
        listing = cleaned(listing, own.root, read_plan(Path(settings.clean), name))
    tiles = (f" [{', '.join(map(str, s.window))}]" if s.window else "" for s in listing.samples)
    return tuple(picture_name(s, own.root) + tile for s, tile in zip(listing.samples, tiles, strict=True))


def _quarters(name: str, say: Say) -> Progress:
    """Tells how far the decoding of many pictures has come, four times in all."""
    reported = 0

    def progress(done: int, total: int) -> None:
        nonlocal reported
        if total >= WORTH_TELLING and 4 * done // total > reported:
            reported = 4 * done // total
            say(f"{name}: decoded {done:,} of {total:,} pictures")

    return progress
