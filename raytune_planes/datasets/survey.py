"""Every file and folder that a dataset was given, and what became of each: read, or left out for a reason."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from raytune_planes.datasets import files, opening
from raytune_planes.datasets.base import Account
from raytune_planes.datasets.links import Links
from raytune_planes.errors import UserError
from raytune_planes.printing import in_number

HIDDEN = "paths left out as hidden"
NO_USE = "files that this reader does not use"
UNUSED = "pictures that this reader does not use"


class Survey:
    """The files below ``root``. ``account`` lists, with the reason, whatever ``read`` did not take.

    A folder is read once, at its own place where that is below the root: links to it, and so loops of links, are left
    out.
    """

    def __init__(self, root: Path, links: Links) -> None:
        """Raises UserError: a link leads to where ``links`` does not allow it, or a folder cannot be read."""
        self.root = root
        self._links, self._target = links.resolved(), root.resolve()
        self._left: dict[str, list[Path]] = {}
        self._read: set[Path] = set()
        self._visited: set[tuple[int, int]] = set()
        paths = self._all()
        self.files = tuple(sorted(paths, key=lambda path: [os.fsencode(part) for part in path.parts]))
        """All regular files but hidden ones, sorted."""
        self._listed = frozenset(self.files)
        markers = [path for path in self.files if path.name == files.MARKER]
        self.synthetic = bool(markers)
        """Whether ``synth`` drew the files, also where the root holds its folder."""
        self.read(markers)
        # What is called a picture is one without a look at its content: decoding tells whether it is sound.
        self.pictures = tuple(p for p in self.files if p.suffix.lower() in files.PICTURES or opening.is_picture(p))

    def read(self, paths: Iterable[Path]) -> None:
        """These are used, perhaps by a path through a link to a folder that is read at its own place."""
        self._read.update(path if path in self._listed else self._at_its_own_place(path) for path in paths)

    def leave(self, reason: str, paths: Iterable[Path]) -> None:
        """These are not, and ``reason`` follows their number in the message; files that were read stay read."""
        self._left.setdefault(reason, []).extend(paths)

    def account(self) -> Account:
        """Everything by what became of it; call it when all that is used has been read."""
        left: dict[str, list[Path]] = {}
        named: set[Path] = set()
        for reason, paths in self._left.items():
            kept = [path for path in dict.fromkeys(paths) if path not in self._read and path not in named]
            named.update(kept)
            left |= {reason: kept} if kept else {}
        pictures = set(self.pictures)
        for path in self.files:
            if path not in self._read and path not in named:
                left.setdefault(UNUSED if path in pictures else NO_USE, []).append(path)
        unused = sum(path in pictures for paths in left.values() for path in paths)
        names = {reason: tuple(map(self._name, paths)) for reason, paths in left.items()}
        return Account(frozenset(self._read), names, unused)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def _at_its_own_place(self, path: Path) -> Path:
        real = path.resolve()
        return self.root / real.relative_to(self._target) if real.is_relative_to(self._target) else path

    def _all(self) -> Iterator[Path]:
        """Folders first, then what links to folders show."""
        waiting: list[Path] = []
        yield from self._walk(self.root, waiting)
        for link in waiting:  # it grows: what a link shows may hold links
            if not self._links.follow:
                self.leave("links to folders, not followed", [link])
            else:
                yield from self._walk(link, waiting)

    def _walk(self, folder: Path, waiting: list[Path]) -> Iterator[Path]:
        try:
            state = folder.stat()
            entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            raise UserError(
                f"the folder {folder} cannot be read: {error.strerror}; allow reading it, or move it out of the dataset"
            ) from None
        if (state.st_dev, state.st_ino) in self._visited:
            self.leave("folders met again through a link, read once", [folder])
            return
        self._visited.add((state.st_dev, state.st_ino))
        if not entries and folder != self.root:
            self.leave("folders without content", [folder])
        for entry in entries:
            path = Path(entry.path)
            if entry.name in files.OF_THE_DISK:
                self.leave("folders of the file system, left out", [path])
            elif entry.name.startswith(".") or entry.name == "__MACOSX":
                self.leave(HIDDEN, [path])
            elif entry.is_symlink() and not self._leads_somewhere(path):
                continue
            elif entry.is_symlink() and path.is_dir():
                waiting.append(path)
            elif entry.is_dir(follow_symlinks=False):
                yield from self._walk(path, waiting)
            elif entry.is_file():
                yield path
            else:
                self.leave("files of a special kind (pipes, sockets, devices), left out", [path])

    def _leads_somewhere(self, link: Path) -> bool:
        try:
            target = link.resolve(strict=True)
        except PermissionError:
            self.leave("links to what may not be read", [link])
        except (OSError, RuntimeError):  # RuntimeError: links that lead to each other
            self.leave("links to nothing", [link])
        else:
            self._links.check(self._target, link, target)
            return True
        return False


def left_out_warnings(left_out: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A sentence for each reason: how many, why and the first few names."""
    return [f"{in_number(len(names), reason)}: {files.some(names)}" for reason, names in left_out.items()]
