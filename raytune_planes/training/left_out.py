"""Frozen pretrained weights, which a checkpoint names by their hash and does not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from raytune_planes.config import Backbone, Model
from raytune_planes.errors import UserError
from raytune_planes.model import build_encoder
from raytune_planes.model.backbones import Pyramid

NAMED = "frozen"
"""Where a checkpoint tells of them."""
ROOMS = ("weights", "model")
"""Where a checkpoint holds the weights of a model."""


class LeftOut:
    """The weights of a frozen encoder as they came, which need not be kept again."""

    def __init__(self, backbone: Pyramid, settings: Model) -> None:
        """Call when ``backbone`` has taken its weights."""
        self._backbone, self._settings = backbone, settings.backbone
        self._digest = digest(backbone.held()) if left_out(backbone, settings) else ""
        self._seen = _states(backbone), True

    def of(self, room: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
        """``weights`` of the whole model under the key ``room``, without those that come again from where they came;
        all of them where another training has changed the encoder, as ``start`` may."""
        if not self._digest or not self._is_as_it_came():
            return {room: dict(weights)}
        out = set(_names(self._backbone))
        named = {"sha256": self._digest, "backbone": self._settings.model_dump()}
        return {room: {name: w for name, w in weights.items() if name not in out}, NAMED: named}

    def _is_as_it_came(self) -> bool:
        """Computes the hash, a second for a large encoder, only when a tensor has been written to since the last."""
        states, same = self._seen
        if (now := _states(self._backbone)) != states:
            same = digest(self._backbone.held()) == self._digest
            self._seen = now, same
        return same


def left_out(backbone: Pyramid, settings: Model) -> set[str]:
    """Names in a whole model of the weights that checkpoints leave out as long as ``backbone`` is as it came."""
    is_whole = settings.sharing in ("trunk", "adapters")
    comes_again = settings.backbone.freeze and settings.backbone.weights != "random" and is_whole
    return set(_names(backbone)) if comes_again else set()


def put_back(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The content of the checkpoint ``path`` with the weights that it names.

    Raises:
        UserError: they are unavailable, or are others by now.
    """
    named = content.get(NAMED)
    if named is None:
        return dict(content)
    settings, expected = Backbone.model_validate(named["backbone"]), str(named["sha256"])
    told = f"{path} names the weights of its frozen encoder and does not hold them (SHA-256 {expected[:8]}...)"
    encoder = build_encoder(settings)
    try:
        encoder.take(settings.weights)
    except UserError as error:
        raise UserError(f"{told}: {error}") from None
    if (found := digest(encoder.held())) != expected:
        raise UserError(
            f"{told}: model.backbone.weights = '{settings.weights}' for {settings.kind} gives others by now "
            f"({found[:8]}...); put those back that it was trained with"
        )
    names = _names(encoder)
    filled = {room: {**names, **content[room]} for room in ROOMS if room in content}
    return {**{key: value for key, value in content.items() if key != NAMED}, **filled}


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, shapes and values."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def _states(backbone: Pyramid) -> list[tuple[int, int]]:
    """Where each tensor lies, and how often it has been written to."""
    return [(tensor.data_ptr(), tensor._version) for tensor in backbone.held().values()]


def _names(backbone: Pyramid) -> dict[str, Tensor]:
    """The encoder's fixed weights under the names that they have in a whole model."""
    return {f"backbone.{backbone.held_prefix}{name}": tensor for name, tensor in backbone.held().items()}
