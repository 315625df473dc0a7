"""Paths that people name: of this machine only, and files only where a file is read."""

from __future__ import annotations

import errno
import logging
import os
import re
import stat
import tempfile
from collections.abc import Collection
from contextlib import suppress
from functools import cache
from pathlib import Path

from raytune_planes.errors import UserError

log = logging.getLogger(__name__)

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""``s3://bucket/x``, also where somebody's ``Path`` has already made it ``s3:/bucket/x``; not a drive, ``C:/``."""
LONGEST = 80
"""Characters of a value that a message shows; of a longer one it names the type."""
KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def local(text: str) -> Path:
    """``text`` as a path.

    Raises:
        UserError: it is the address of an object store or server. As a path it would be a folder named ``s3:`` here.
    """
    if ADDRESS.match(text):
        raise UserError(
            f"'{text}' is an address, which --data and --out of results take (s3://, gs://, az://); give the path of a "
            "folder or file of this machine, also one where the store is mounted"
        )
    return Path(text)


def regular(path: Path) -> Path:
    """``path``, unless it is a pipe, socket or device, of which reading might never end.

    Raises:
        OSError: it is one, or there is nothing.
    """
    if kind := special(path):
        raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(path))
    return path


def as_path(value: object, name: str, kinds: str = "the path of a file or folder, as str or pathlib.Path") -> Path:
    """The argument ``name`` of a Python function as a path. Raises UserError: it is none of the ``kinds`` taken."""
    if not isinstance(value, str | Path):
        shown = repr(value)
        given = f"={shown}" if len(shown) < LONGEST and shown.isprintable() else f" is a {type(value).__name__}"
        raise UserError(f"{name}{given}: give {kinds}")
    return Path(value)


def there(path: Path) -> bool:
    """Whether a file or folder is at ``path``; there is none where the name is longer than a disk takes."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False


def special(path: Path) -> str:
    """What ``path`` is, for people, where it is neither file nor folder; empty for those. Raises OSError."""
    return KINDS.get(stat.S_IFMT(path.stat().st_mode), "")


def shortened(name: str, most: int) -> str:
    """The beginning of ``name`` that takes ``most`` bytes on disk at most, cut between letters."""
    while len(os.fsencode(name)) > most:
        name = name[:-1]
    return name


def start(path: Path, size: int = 4096) -> bytes:
    """The first ``size`` bytes of a file; none where it cannot be read."""
    try:
        with regular(path).open("rb") as file:
            return file.read(size)
    except OSError:
        return b""


def bytes_below(folder: Path, names: Collection[str] = ()) -> int:
    """Of the files below ``folder``; those that another process removes meanwhile count nothing.

    Args:
        names: count only the files that are called so; empty for all.
    """
    found = 0
    for root, _, files in os.walk(folder):
        for name in files:
            if not names or name in names:
                with suppress(FileNotFoundError):
                    found += os.stat(os.path.join(root, name)).st_size
    return found


def sqlite_address(path: Path) -> str:
    """``sqlite:///...`` of a database, for SQLAlchemy and all that build on it, also where ``?``, ``%`` or ``#`` are in
    the name of a folder: SQLAlchemy has its own way to write them."""
    from sqlalchemy import URL

    whole = str(path.resolve())
    written = URL.create("sqlite", database=whole).render_as_string()
    # MLflow makes the folder that stands behind "sqlite:///", letter by letter; not so where the driver is named.
    return written if written == f"sqlite:///{whole}" else written.replace("sqlite:", "sqlite+pysqlite:", 1)


def sqlite_file(address: str) -> Path | None:
    """The file of a database that ``address`` names; None where it is another kind of store, or in memory."""
    if not address.startswith(("sqlite:", "sqlite+")):
        return None
    from sqlalchemy import make_url

    named = make_url(address).database
    return Path(named) if named and named != ":memory:" else None


def own_folder(wanted: Path, what: str, setting: str) -> Path:
    """``wanted``, which begins with ``~`` and is made, or a temporary folder of this user where that cannot be.

    Args:
        what: Is kept there, for the warning.
        setting: Names another place.

    Raises:
        UserError: the temporary folder belongs to somebody else.
    """
    try:
        folder = wanted.expanduser()
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home at all
        why = f"{error.strerror}: {wanted}" if isinstance(error, OSError) else str(error).rstrip(".")
    else:
        return folder
    return _elsewhere(wanted.name, what, setting, why, tempfile.gettempdir())


@cache  # said once
def _elsewhere(name: str, what: str, setting: str, why: str, temporary: str) -> Path:
    folder = Path(temporary) / f"{name}-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise UserError(f"no folder for {what}: {why}, and {folder} belongs to someone else; name one with {setting}")
    log.warning("%s, so %s are kept in %s; %s names another place", why, what, folder, setting)
    return folder
