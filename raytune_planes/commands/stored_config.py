"""Settings that ``train --config`` names in an object store: fetched with the records of their study."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.stores.access import opened
from raytune_planes.stores.address import Address
from raytune_planes.stores.writing import content
from raytune_planes.tracking import files

DEEPEST = 4
"""Folders from a study's own to a file of settings below it, and the file."""


def study_above(config: Address) -> tuple[Address, str, Path]:
    """The results in which the file ``config`` is, the name of its study, and its path below that study.

    Raises:
        UserError: it is in no study's folder, or the store cannot be read.
    """
    store, parts = opened(config), config.prefix.split("/")
    for depth in range(1, min(DEEPEST, len(parts) - 1) + 1):
        *above, name = parts[:-depth]
        results = Address(config.scheme, config.bucket, "/".join(above), config.anonymous)
        if content(store, results, f"{name}/{files.STUDY}") is not None:
            return results, name, Path(*parts[-depth:])
    raise UserError(
        f"--config {config}: no study is there; give the best.yaml of a study or the config.yaml of a trial in "
        "one, or a file on this machine"
    )
