"""Where one cluster of one user keeps its state and its sockets, and the token that guards it."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path

import click

from raytune_planes.errors import UserError


class LaunchError(click.ClickException, UserError):
    """A user's mistake while launching: Ray's command line prints it without a traceback."""

    exit_code = 2


@dataclass(frozen=True)
class Place:
    """The folders of one cluster of one user, readable by nobody else."""

    state: Path
    """What must survive a restart of the machine: the tags that Ray's launcher gives to the node."""

    temp: Path
    """Ray's sessions and sockets. Short, because a unix socket's path ends at 107 bytes."""

    @property
    def tags(self) -> Path:
        return self.state / "tags.json"

    @property
    def head(self) -> Path:
        """Temporary folder of the head that ``ray up`` starts."""
        return self.temp / "head"

    @property
    def scripts(self) -> Path:
        """One file per running script, named after its process id."""
        return self.temp / "scripts"


def place(cluster: str) -> Place:
    """The place of the cluster called ``cluster``. Raises LaunchError where a folder is not ours alone."""
    root = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser().absolute()
    digest = hashlib.sha256(f"{os.getuid()} {root} {cluster}".encode()).hexdigest()[:10]
    readable = re.sub(r"[^\w.-]", "_", cluster)[:60]
    state = private_folder(private_folder(root / "raytune-planes") / f"{readable}-{digest}")
    return Place(state, private_folder(Path("/tmp") / f"raytune-{digest}"))


def private_folder(path: Path) -> Path:
    """Make ``path`` a folder that only this user can enter, or raise LaunchError.

    Everybody may write to ``/tmp``: a folder that someone else left under our name, or a link, is refused.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LaunchError(f"{path} cannot be made ({error.strerror}); XDG_STATE_HOME names another place") from None
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise LaunchError(
            f"{path} must be a folder of your own, but it belongs to someone else or is a link; remove it"
        )
    if status.st_mode & 0o077:
        path.chmod(0o700)
    return path


def ensure_token(environment: dict[str, str]) -> None:
    """Turn Ray's token authentication on, making the user's token where there is none.

    Ray turns it on by itself as soon as a token file exists: a head started before that moment would reject
    every script started after it. A user who set ``RAY_AUTH_MODE`` or names a token is left alone.
    """
    if environment.setdefault("RAY_AUTH_MODE", "token").lower() != "token" or environment.get("RAY_AUTH_TOKEN"):
        return
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    if path.exists():
        if path.stat().st_uid == os.getuid() and path.stat().st_mode & 0o077:
            path.chmod(0o600)  # `ray get-auth-token --generate` leaves it for everybody to read
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LaunchError(
            f"Ray's token cannot be kept in {path.parent} ({error.strerror}); RAY_AUTH_TOKEN_PATH names another file"
        ) from None
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_hex(32))
    try:
        os.link(draft, path)  # whole or not at all, and never over a token that another command made meanwhile
    except FileExistsError:
        pass
    finally:
        draft.unlink()
