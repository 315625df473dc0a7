"""The folder of data that people name, on this host: as it is, or fetched from an object store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from raytune_planes.datasets.cache import LIMIT_GIB, default_cache
from raytune_planes.printing import told
from raytune_planes.stores.address import Address, Place


def fetched(
    data: Place | None,
    cache: Path | None,
    say: Callable[[str], None] = told,
    limit_gib: float = LIMIT_GIB,
) -> Path | None:
    """``data`` as a folder: what lies at an address is copied into the cache once a host.

    Raises:
        UserError: the store cannot be read, or holds nothing there.
    """
    if not isinstance(data, Address):
        return data
    from raytune_planes.stores.staging import staged

    return staged(data, cache or default_cache(), say, round(limit_gib * 2**30))
