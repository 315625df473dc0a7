"""Processes that wait for the next trial: Ray Tune keeps one, and lets the others pay their imports again."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray.tune.execution import tune_controller
from ray.tune.utils.object_cache import _ObjectCache


class IdleProcesses(_ObjectCache):
    """Tune's cache of idle trial processes, but with room for ``places`` of each kind.

    Tune keeps as many as there are pending trials. When trials end together, before the search was asked for the next
    ones, that is none, and but for one all are ended: each costs about seven processor seconds of imports.
    """

    def __init__(self, may_keep_one: bool = True, *, places: int) -> None:
        super().__init__(may_keep_one)
        self._places = places

    def cache_object(self, key: Any, obj: Any) -> bool:
        """Keep ``obj`` for the next trial that needs a process like it; False when there is no room."""
        if len(self._cached_objects[key]) >= self._room(key):
            return False
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Generator[Any, None, None]:
        """Give up those that there is no room for, oldest first; with ``force_all``, at a study's end, every one."""
        for key, kept in self._cached_objects.items():
            while len(kept) > (0 if force_all else self._room(key)):
                self._num_cached_objects -= 1
                yield kept.pop(0)

    def _room(self, key: Any) -> int:
        return max(self._places, self._max_num_objects[key])


@contextmanager
def kept(places: int) -> Iterator[None]:
    """Within, a ``Tuner`` keeps up to ``places`` idle processes of each kind.

    For studies whose trials all ask for the same: an idle process holds its processors, so that one of another kind
    could wait for it for ever.
    """
    tunes_own = tune_controller._ObjectCache
    tune_controller._ObjectCache = partial(IdleProcesses, places=places)
    try:
        yield
    finally:
        tune_controller._ObjectCache = tunes_own
