"""Checkpoints that are whole or absent: written beside, renamed into place, and checked when read."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from raytune_planes.errors import UserError
from raytune_planes.settings import overlaid
from raytune_planes.tracking.files import LAST, WEIGHTS, write_whole
from raytune_planes.tracking.validation import Answers, write_validation

MAGIC = b"RTPLANES"
FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch. ``state`` holds tensors and plain values only."""

    state: Mapping[str, Any]
    """All that resuming needs."""
    model: Mapping[str, Any]
    """What prediction needs: weights, settings, class names, prompt embeddings."""
    is_best: bool
    """No epoch before scored higher under the goal."""
    answers: Mapping[str, Answers] = field(default_factory=dict)
    """When it is the best: what it said of every validation picture, by dataset."""

    def save(self, folder: Path) -> None:
        """Write ``last.pt`` and, when this is the best epoch, ``best.pt`` and ``val.npz``."""
        if self.is_best:
            save(self.model, folder / WEIGHTS)
            write_validation(folder, self.answers)
        save(self.state, folder / LAST)


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write a checksum and ``content`` to ``path`` in one step: a reader never sees half of it."""
    buffer = io.BytesIO()
    torch.save({"format": FORMAT, **content}, buffer)
    body = buffer.getvalue()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, MAGIC + hashlib.sha256(body).digest() + body)


def load(path: Path) -> dict[str, Any]:
    """Read what ``save`` wrote, on the CPU, without running any code from the file.

    Raises:
        UserError: there is no such file, it is cut short or changed, or another version wrote it.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"no checkpoint at {path} ({error.strerror}); give the path of a best.pt or last.pt") from None
    head, body = raw[: len(MAGIC) + 32], raw[len(MAGIC) + 32 :]
    if not head.startswith(MAGIC):
        raise UserError(f"{path} is no checkpoint of raytune-planes; give the path of a best.pt or last.pt")
    if hashlib.sha256(body).digest() != head[len(MAGIC) :]:
        raise UserError(f"{path} is damaged (its checksum does not match); use another checkpoint of the trial")
    try:
        content = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except Exception as error:  # a stranger's file has a checksum too, and torch raises anything over it
        why = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
        raise UserError(f"{path} holds no checkpoint ({why}); use another checkpoint of the trial") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no checkpoint but a {type(content).__name__}; use another one of the trial")
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {content.get('format')}, this version reads {FORMAT}; "
            "open it with the version of raytune-planes that wrote it"
        )
    return dict(content)


def refuse_other(mine: Mapping[str, Any], state: Mapping[str, Any], source: str) -> None:
    """Compare the settings ``mine``, by path, with those of a ``last.pt``. One that is newer counts as its default.

    Raises:
        UserError: they differ, so that training cannot go on from there.
    """
    theirs = overlaid(state["config"])
    other = [k for k in mine if k != "devices.vision" and mine[k] != theirs.get(k)]
    if other:
        raise UserError(
            f"{source} was trained with another configuration ({other[0]} differs: it has "
            f"{theirs.get(other[0])!r}, asked is {mine[other[0]]!r}); resume it with its own config.yaml"
        )
