"""What to do when a file system says no: room is asked for where room is lacking, and nowhere else."""

from __future__ import annotations

import argparse
import errno
import os

import pytest

from raytune_planes.cli import main
from raytune_planes.commands import plugins

FULL = "free some space or choose another folder"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, FULL),
        (errno.EDQUOT, FULL),
        (errno.EACCES, "give this user the right to it, or choose another folder"),
        (errno.EPERM, "give this user the right to it, or choose another folder"),
        (errno.EROFS, "that disk can only be read: choose another folder"),
        (errno.EFBIG, "a limit (ulimit -f, or the file system's) allows no larger file: raise it, or choose another"),
        (errno.EMFILE, "raise the limit of open files (ulimit -n)"),
        (errno.ENOENT, "bring it back, or choose another folder"),
        (errno.ENAMETOOLONG, "give another path"),
    ],
)
def test_the_advice_is_of_the_trouble(
    number: int, advice: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(_: argparse.Namespace) -> int:
        raise OSError(number, os.strerror(number), "/results/x")

    monkeypatch.setattr(plugins, "run", fails)
    assert main(["plugins"]) == 2
    said = capsys.readouterr().err
    assert f"{os.strerror(number)}: /results/x. Files written before are intact; {advice}" in said
    assert ("free some space" in said) == (number in (errno.ENOSPC, errno.EDQUOT))
