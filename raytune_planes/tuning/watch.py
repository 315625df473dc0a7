"""What the driver keeps an eye on while trials run: each is reported of, the disk has room, hosts stay."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.tracking.files import STUDY
from raytune_planes.tuning.leaving import hosts_that_leave, told_of

HOSTS_S = 2.0
"""Pause between two questions about hosts; a cloud gives two minutes' notice, or half a minute."""


def is_there(folder: Path) -> bool:
    """Whether ``folder`` is a study's. Ray makes its own folders below it anew, so a folder alone says nothing."""
    return (folder / STUDY).is_file()


class Watch:
    """Says which trial has been silent for too long, when the results' disk is nearly full, and which hosts end.

    ``stall_minutes`` without a word are too long, None for never; below ``free_gib`` on the disk of ``folder`` nothing
    new may start, 0 for no limit. ``clock`` gives seconds and never goes back.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        stall_minutes: float | None = None,
        free_gib: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._stall_minutes, self._free_gib, self._clock = folder, stall_minutes, free_gib, clock
        self._last_report: dict[str, float] = {}
        self._asked_s, self._leaving = -HOSTS_S, set[str]()

    def reported(self, trial_id: str) -> None:
        """The trial has started, or has said something."""
        self._last_report[trial_id] = self._clock()

    def silence(self, trial_id: str) -> str:
        """Why the trial counts as hung, or ``""``; said once, until it is reported of again."""
        since, limit = self._last_report.get(trial_id), self._stall_minutes
        if since is None or limit is None or self._clock() - since < 60 * limit:
            return ""
        del self._last_report[trial_id]
        return f"no epoch for {limit:g} minutes: it hangs (study.stall_minutes)"

    def hosts(self) -> list[str]:
        """Hosts that are about to end, in words, each once."""
        if self._clock() - self._asked_s < HOSTS_S:
            return []
        self._asked_s = self._clock()
        told = dict(told_of(hosts_that_leave(), self._leaving))
        self._leaving |= told.keys()
        return list(told.values())

    def folder(self) -> None:
        """Raises UserError when the study's folder is no longer there: nothing could be recorded."""
        if self._folder is not None and not is_there(self._folder):
            raise UserError(
                f"the study's folder {self._folder} is no longer there, so nothing can be recorded and the study has "
                "ended; bring it back (or mount its disk again) in place of what Ray may have made there since, then "
                f"continue with --resume {self._folder.name}"
            )

    def disk(self) -> str:
        """Why no trial may start, or ``""``."""
        if self._folder is None or not self._free_gib:
            return ""
        free_gib = shutil.disk_usage(self._folder).free / 2**30
        if free_gib >= self._free_gib:
            return ""
        return (
            f"only {free_gib:.2f} GiB are free where the results lie, less than {self._free_gib:g} (study.free_gib): "
            "no further trial starts; free some space, then continue with --resume"
        )
