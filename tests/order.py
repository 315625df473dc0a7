"""In which order tests run, and which of two processes takes which of them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

WITHOUT_RAY = ("model", "oracle", "report", "search_spaces", "tracking", "training")
"""Folders whose slow tests start no Ray."""


class RayFirst(LoadScopeScheduling):  # type: ignore[misc]
    """The first process takes the tests that may start Ray, the others begin with the rest; who is done helps.

    A file goes to one process, so that what its tests share is made once. Of a file that may start Ray and whose
    tests share nothing, each test goes by itself: one takes up to a minute, and no process waits long for the last.
    """

    def _split_scope(self, nodeid: str) -> str:
        name = nodeid.partition("::")[0]
        path = self.config.rootpath / name
        return nodeid if starts_ray(path) and not _shares(path) else name

    def _assign_work_unit(self, node: Any) -> None:
        takes_ray = node is next(iter(self.assigned_work))
        for scope in self.workqueue:
            if starts_ray(self.config.rootpath / scope.partition("::")[0]) == takes_ray:
                self.workqueue.move_to_end(scope, last=False)
                break
        super()._assign_work_unit(node)


def longest_first(item: pytest.Item) -> tuple[bool, bool, bool]:
    """A key to sort by: what may start Ray, whole files before single tests, then the other files with slow tests."""
    return not starts_ray(item.path), not _has_slow_tests(item.path), not _shares(item.path)


def starts_ray(path: Path) -> bool:
    return _has_slow_tests(path) and path.parent.name not in WITHOUT_RAY


def _has_slow_tests(path: Path) -> bool:
    return "pytest.mark.slow" in _text(path)


def _shares(path: Path) -> bool:
    return 'scope="module"' in _text(path)


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
