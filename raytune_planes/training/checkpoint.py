"""Checkpoints that are complete or absent: written to a temporary file, renamed into place, and verified when read.

A checkpoint is a file of ``torch.save`` whose archive ends with a comment: the checksum of all that stands before it.
So ``torch.load(path, weights_only=True)`` and every tool for ZIP archives open it as it is.
"""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch

from raytune_planes.errors import UserError, first_line
from raytune_planes.paths import regular
from raytune_planes.settings import overlaid
from raytune_planes.tracking.files import LAST, WEIGHTS, replacing
from raytune_planes.tracking.keeping import refuse_freed
from raytune_planes.tracking.validation import Predictions, join_validation, write_validation
from raytune_planes.training.left_out import put_back

MARK = b"raytune-planes sha256 "
COMMENT = len(MARK) + 64
"""Bytes of the comment: the mark, and the checksum as hexadecimal digits."""
NO_COMMENT = struct.pack("<H", 0)
"""How an archive without a comment ends."""
FORMAT = 1
"""Of what a checkpoint holds."""
BEFORE = b"RTPLANES"
"""How checkpoints of earlier versions began: this, 32 bytes of SHA-256, and a file of ``torch.save``. Still read."""
WRONG = (KeyError, IndexError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration, AssertionError)
"""What code raises that meets other content than it expects."""


@dataclass(frozen=True)
class Checkpoint:
    """The state after an epoch. ``state`` holds tensors and plain values only."""

    state: Mapping[str, Any]
    """All that resuming needs."""
    model: Mapping[str, Any]
    """What prediction needs: weights, settings, class names, prompt embeddings."""
    is_best: bool
    """No epoch before scored higher under the goal."""
    predictions: Mapping[str, Predictions] = field(default_factory=dict)
    """When it is the best: what it said of every validation picture, by dataset."""
    fold: int = 0
    """From 1, of a trial that trains on every fold: weights are kept of the first one, predictions of all."""

    def save(self, folder: Path) -> None:
        """Write ``last.pt`` and, when this is the best epoch, ``best.pt`` and ``val.npz``.

        Raises:
            OSError: there is no room, or no longer such a folder: a checkpoint without its records cannot be used.
        """
        folder.stat()
        if self.is_best and self.fold > 1:
            join_validation(folder, self.predictions)
        elif self.is_best:
            _write(self.model, folder / WEIGHTS)
            write_validation(folder, self.predictions)
        _write(self.state, folder / LAST)


def save(content: Mapping[str, Any], path: Path) -> None:
    """Write ``content`` with its checksum to ``path`` in one step: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(content, path)


def _write(content: Mapping[str, Any], path: Path) -> None:
    """As ``save`` where the folder is there; it is not made again where it has vanished meanwhile."""
    with replacing(path) as file:
        sealing = Sealing(file)
        try:
            torch.save({"format": FORMAT, **content}, cast("IO[bytes]", sealing))  # it asks for write and flush alone
        except RuntimeError as error:  # after a write that failed torch complains of the archive
            raise sealing.failed or error from None
        sealing.seal()


class Sealing:
    """A file for ``torch.save`` to write an archive to; its checksum becomes the archive's comment.

    It is computed along the way: a copy of the archive in memory would be as large as the model and its optimiser.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._sum, self._end = file, hashlib.sha256(), b""
        self.failed: OSError | None = None
        """Why a part could not be written."""

    def write(self, part: bytes | memoryview) -> int:
        """Passes all on but the last two bytes: those that end the archive say how long its comment is."""
        size = len(part)
        if size < len(NO_COMMENT):
            self._end += bytes(part)
            self._pass(self._end[: -len(NO_COMMENT)])
            self._end = self._end[-len(NO_COMMENT) :]
        else:
            self._pass(self._end)
            self._pass(part[: -len(NO_COMMENT)])
            self._end = bytes(part[-len(NO_COMMENT) :])
        return size

    def flush(self) -> None:
        """As ``torch.save`` asks at its end."""
        self._file.flush()

    def seal(self) -> None:
        """Write what ends the file."""
        assert self._end == NO_COMMENT, "torch.save writes no comment of its own"
        self._pass(struct.pack("<H", COMMENT))
        self._file.write(MARK + self._sum.hexdigest().encode())

    def _pass(self, part: bytes | memoryview) -> None:
        self._sum.update(part)
        try:
            self._file.write(part)
        except OSError as error:
            self.failed = error
            raise


def load(path: Path, *, whole: bool = True) -> dict[str, Any]:
    """Read what ``save`` wrote, on the CPU, without running any code from the file.

    ``whole``: with the weights of a frozen encoder, which the file only names (see ``left_out``).

    Raises:
        UserError: there is no such file, it is cut short or changed, another version wrote it, or weights that it names
            are unavailable.
    """
    try:
        raw = regular(path).read_bytes()
    except OSError as error:
        refuse_freed(path.parent)
        raise UserError(f"no checkpoint at {path} ({error.strerror}); give the path of a best.pt or last.pt") from None
    try:
        content = torch.load(io.BytesIO(_checked(raw, path)), map_location="cpu", weights_only=True)
    except UserError:
        raise
    except Exception as error:  # a stranger's file has a checksum too, and torch raises anything over it
        raise _no_checkpoint(path, error) from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no checkpoint but a {type(content).__name__}; use another one of the trial")
    if content.get("format") != FORMAT:
        raise UserError(
            f"{path} has checkpoint format {content.get('format')}, this version reads {FORMAT}; "
            "open it with the version of raytune-planes that wrote it"
        )
    if not whole:
        return dict(content)
    with content_of(path):
        return put_back(content, path)


_LATER = {"precision": "auto"}
"""Defaults that took the place of others: a checkpoint from before does not refuse them."""


def refuse_other(mine: Mapping[str, Any], state: Mapping[str, Any], source: str) -> None:
    """Compare the settings ``mine``, by path, with those of a ``last.pt``. One that is newer counts as its default;
    where a specialist's file lies does not matter, its weights are compared (``Teachers``).

    Raises:
        UserError: they differ, so that training cannot continue from there.
    """
    theirs = overlaid(state["config"])
    other = [
        k
        for k in mine
        if not k.startswith("devices.") and not k.endswith(".teacher") and mine[k] not in (theirs.get(k), _LATER.get(k))
    ]
    if other:
        raise UserError(
            f"{source} was trained with another configuration ({other[0]} differs: it has "
            f"{theirs.get(other[0])!r}, asked is {mine[other[0]]!r}); resume it with its own config.yaml"
        )


@contextmanager
def content_of(path: Path | str) -> Iterator[None]:
    """For code that takes what ``load`` gave apart: content that does not fit becomes a UserError that names the file.

    A checksum says that nothing was changed since, not that a model of ours is in the file.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except WRONG as error:
        raise _no_checkpoint(path, error) from error


def _checked(raw: bytes, path: Path) -> bytes:
    """The archive in the bytes of a checkpoint, whose checksum fits."""
    if raw.startswith(BEFORE):
        start = len(BEFORE) + 32
        checksum, body, archive = raw[len(BEFORE) : start], raw[start:], raw[start:]
    elif raw.startswith(b"PK"):
        body, comment, archive = raw[:-COMMENT], raw[-COMMENT:], raw
        if not comment.startswith(MARK):
            raise UserError(
                f"{path} is damaged, or no checkpoint of raytune-planes: it does not end with a checksum; "
                "give another best.pt or last.pt"
            )
        try:
            checksum = bytes.fromhex(comment[len(MARK) :].decode("ascii", "replace"))
        except ValueError:
            checksum = b""
    else:
        raise UserError(f"{path} is not a checkpoint of raytune-planes; give the path of a best.pt or last.pt")
    if hashlib.sha256(body).digest() != checksum:
        raise UserError(f"{path} is damaged (its checksum does not match); use another checkpoint of the trial")
    return archive


def _no_checkpoint(path: Path | str, error: Exception) -> UserError:
    why = f"{type(error).__name__}: {first_line(error)[:200]}"
    return UserError(f"{path} holds no checkpoint that can be used ({why}); use another checkpoint of the trial")
