"""What went wrong because of the user, said so that the user can mend it."""

from __future__ import annotations

import difflib
import errno
from collections.abc import Iterable

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk that is full, or of a user's share of it."""


class UserError(Exception):
    """A mistake that the person at the keyboard can mend: bad input, missing data, too little machine.

    The message says what was asked, what is allowed and what to do. The command line prints it without
    a traceback and exits with status 2.

    >>> rp.train({"optim.rl": 0.1})
    Traceback (most recent call last):
    raytune_planes.errors.UserError: settings: no setting 'optim.rl'; did you mean 'optim.lr'?
    """


def listed(problems: Iterable[str], heading: str) -> UserError:
    """All problems of one file or command as a single error, one line each under ``heading``."""
    lines = list(problems)
    if len(lines) == 1:
        return UserError(f"{heading}: {lines[0]}")
    return UserError("\n".join([f"{heading}: {len(lines)} problems", *(f"  - {line}" for line in lines)]))


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """``"; did you mean 'x'?"`` for the option nearest to ``word``, or nothing when none is near."""
    near = difflib.get_close_matches(word, list(options), n=1, cutoff=0.6)
    return f"; did you mean '{near[0]}'?" if near else ""


def first_line(error: BaseException) -> str:
    """What a library's error says first; the name of its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
