"""The plain types that a setting allows, by its dotted path."""

from __future__ import annotations

import types
import typing
from typing import Literal

from raytune_planes.catalog import CATALOG
from raytune_planes.settings import settings, unstaged


class Types:
    """The plain types that each setting allows; a dataset of the user's own has those of the catalog's."""

    def __init__(self) -> None:
        self._by_path = {s.path: frozenset(_plain(s.type)) for s in settings()}

    def of(self, path: str) -> frozenset[object]:
        """Empty where there is no such setting."""
        parts = (path := unstaged(path)).split(".")
        if parts[0] == "datasets" and len(parts) > 2:
            path = ".".join(["datasets", next(iter(CATALOG)), *parts[2:]])
        return self._by_path.get(path, frozenset())


def _plain(kind: object) -> set[object]:
    """The plain types that an annotation allows; a Literal counts as the types of its words."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        return {t for k in typing.get_args(kind) for t in _plain(k)}
    if typing.get_origin(kind) is typing.Annotated:
        return _plain(typing.get_args(kind)[0])
    if typing.get_origin(kind) is Literal:
        return {type(word) for word in typing.get_args(kind)}
    return {kind}
