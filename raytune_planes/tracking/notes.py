"""What people write about a study: notes and tags, kept in its folder beside the records, at any time."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.printing import printable
from raytune_planes.tracking.files import load_json, save_json
from raytune_planes.tracking.reading import MALFORMED

FILE = "notes.json"
LONGEST = 2000
"""Characters of one note."""
TAG = re.compile(r"[\w][\w.:+-]{0,49}")


@dataclass(frozen=True)
class Note:
    text: str
    time_ms: int
    """When it was written, in milliseconds since 1970."""


@dataclass(frozen=True)
class Notes:
    """Of one study."""

    notes: tuple[Note, ...] = ()
    """Oldest first."""
    tags: tuple[str, ...] = ()

    def as_lines(self) -> list[str]:
        """For a terminal; empty where nothing was written."""
        tags = [f"tags: {', '.join(self.tags)}"] if self.tags else []
        return [*tags, *(f"note of {day(note.time_ms)}: {note.text}" for note in self.notes)]


def read_notes(study: Path) -> Notes:
    """The notes of the study in the folder ``study``; none where the file is absent.

    Raises:
        UserError: the file is damaged, or a newer version of this program wrote it.
    """
    path = study / FILE
    try:
        data = load_json(path) if path.is_file() else {"notes": [], "tags": []}
        return Notes(
            tuple(Note(str(n["text"]), int(n["time_ms"])) for n in data["notes"]), tuple(map(str, data["tags"]))
        )
    except (OSError, *MALFORMED) as error:
        raise UserError(f"{path} cannot be read ({error}); mend it, or remove it and write the notes again") from None


def add_notes(study: Path, text: str = "", tags: Iterable[str] = ()) -> Notes:
    """Add a note, tags or both to those of the study in the folder ``study``; returns all of them.

    Raises:
        UserError: the text is too long, a tag is no word, or the file is damaged.
    """
    text, tags = printable(" ".join(text.split())), tuple(tags)
    if len(text) > LONGEST:
        raise UserError(f"the note has {len(text):,} characters; {LONGEST:,} are allowed")
    check_tags(tags)
    known = read_notes(study)
    notes = (*known.notes, Note(text, int(time.time() * 1000))) if text else known.notes
    both = Notes(notes, tuple(dict.fromkeys((*known.tags, *tags))))
    save_json(study / FILE, {"notes": [vars(note) for note in both.notes], "tags": list(both.tags)})
    return both


def check_tags(tags: Iterable[str]) -> None:
    """Raises UserError: one of them is no word of at most 50 letters, digits and ``_ . : + -``."""
    if wrong := [tag for tag in tags if not TAG.fullmatch(tag)]:
        raise UserError(
            f"'{wrong[0]}' cannot be a tag; use a word of at most 50 letters, digits, '_', '.', ':', '+' and '-'"
        )


def day(time_ms: int) -> str:
    """``2026-11-28 17:06``, in local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(time_ms / 1000))
