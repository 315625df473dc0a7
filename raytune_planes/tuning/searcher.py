"""Lets Ray Tune ask our search for trials."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ray.tune.search import Searcher

from raytune_planes.tuning.pools import Pools
from raytune_planes.tuning.search import Search, Suggestion

__all__ = ["Search", "Suggestion", "TuneSearcher"]


class TuneSearcher(Searcher):
    """Hands out the trials to ``resume`` first, then what the search proposes, until its limit or ``finish``.

    A trial's configuration is ``{"trial_id", "number", "drawn", "pool"}``; it waits until a pool has a place. A resumed
    trial keeps the id it had, whatever Tune calls it now: that id ties trial, MLflow run and checkpoint. What happens
    to a trial reaches ``Search.report`` and ``Search.tell`` from the recorder, because Tune's own result
    says neither why a trial ended nor which of its epochs was the best.
    """

    def __init__(
        self,
        search: Search,
        pools: Pools,
        resume: Sequence[Suggestion] = (),
        may_start: Callable[[], bool] = lambda: True,
        promoted: Callable[[bool], str | None] | None = None,
    ) -> None:
        """``may_start``: asked before every trial but the first; False lets it wait. ``promoted``: asked before every
        new trial for a paused one to continue instead, by its id; True tells that there are no new ones."""
        super().__init__()
        self._may_start, self._promoted = may_start, promoted
        self._turns: Counter[str] = Counter()
        self.search: Search | None = search
        self._pools: Pools | None = pools
        self._waiting = deque(search.adopt(suggestion.trial_id) for suggestion in resume)
        self._finished = False

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's configuration, None while no host has a place for it, or ``Searcher.FINISHED``."""
        assert self.search is not None, "a searcher that was unpickled belongs to no study"
        assert self._pools is not None
        if self._finished:
            return str(Searcher.FINISHED)
        is_first = self._waiting[0].number == 0 if self._waiting else self.search.handed_out == 0
        if not is_first and not self._may_start():
            return None
        pool = self._pools.take(trial_id)
        if pool is None:
            return None
        suggestion = self._next(trial_id)
        if suggestion is None:
            self._pools.release(trial_id)
            return None if self._promoted and self._pools.taken else str(Searcher.FINISHED)
        self._turns[suggestion.trial_id] += 1
        suggested = {"trial_id": suggestion.trial_id, "number": suggestion.number, "drawn": suggestion.drawn}
        suggested["turn"] = self._turns[suggestion.trial_id]
        return {**suggested, "pool": pool, "floors": dict(self.search.goal.floors)}

    def _next(self, trial_id: str) -> Suggestion | None:
        """A trial of an earlier run, else a paused one that is promoted, else a new one."""
        assert self.search is not None
        if self._waiting:
            return self._waiting.popleft()
        if self._promoted and (promoted := self._promoted(False)):
            return self.search.adopt(promoted)
        if new := self.search.ask(trial_id):
            return new
        last = self._promoted(True) if self._promoted else None
        return self.search.adopt(last) if last else None

    def begin_no_more(self) -> bool:
        """Hand out no new trials: those of an earlier run and paused ones continue. Tells whether new ones were due."""
        assert self.search is not None
        begun = self.search.handed_out
        were_due = self.search.limit is None or begun < self.search.limit
        if were_due:
            self.search.limit = begun
        return were_due

    def finish(self) -> None:
        """Start no more trials: the study's budget is spent."""
        self._finished = True

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Frees its slot; ``Search.tell`` receives the rest from the records."""
        assert self._pools is not None
        self._pools.release(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Tune wants a file; the state is in the search's database."""
        Path(checkpoint_path).write_text("the state of this search is in its Optuna database\n", encoding="utf-8")

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a new ``Search`` on the same database knows everything."""

    def __getstate__(self) -> dict[str, Any]:
        return {
            **self.__dict__,
            "search": None,
            "_pools": None,
            "_may_start": None,
            "_promoted": None,
        }  # Tune pickles its whole setting; a database connection cannot go along
