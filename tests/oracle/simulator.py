"""Runs a search over trials whose curves are known, on simulated workers and a simulated clock."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Protocol

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.tuning.promoting import PromotingRungs, continued
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search, Suggestion

Course = Callable[[Suggestion], Iterator[tuple[EpochRecord, End | None]]]
"""The epochs of a trial; the last comes with how the trial ends by itself. ``seconds`` of an epoch are simulated."""


class Strategy(Protocol):
    """What chooses trials and stops them."""

    def ask(self) -> Suggestion | None: ...

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        """Take note of an epoch; whether the trial is to stop."""
        ...

    def tell(self, record: TrialRecord) -> None: ...


@dataclass(frozen=True)
class Ours:
    """The package's own search, with its rungs or without."""

    search: Search
    rungs: Rungs | None = None
    paused: dict[str, TrialRecord] = field(default_factory=dict)

    def ask(self) -> Suggestion | None:
        """The order of calls is that of ``tuning.searcher.TuneSearcher``."""
        promoted = continued(self.rungs, self.paused.values(), is_last=False)
        if promoted is None:
            return self.search.ask()
        del self.paused[promoted]
        return self.search.adopt(promoted)

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        """The order of calls is that of ``tuning.callbacks.Recorder``."""
        self.search.report(trial.trial_id, epoch)
        return self.rungs is not None and self.rungs.judge(trial.number, epoch, final=final).stop

    def tell(self, record: TrialRecord) -> None:
        if record.end is End.PRUNED and isinstance(self.rungs, PromotingRungs):
            record = self.paused[record.trial_id] = replace(record, end=End.PAUSED)
        self.search.tell(record)


@dataclass(frozen=True)
class Moment:
    """A trial after one more epoch."""

    clock: float
    """Simulated seconds since the start."""
    spent: float
    """Simulated seconds of all workers together."""
    trial: TrialRecord


def simulate(strategy: Strategy, course: Course, *, workers: int = 4, seconds: float) -> Iterator[Moment]:
    """Every epoch of every trial in the order in which they end, until ``seconds`` of all workers are spent.

    A worker that is free asks at once; a trial that is stopped stops after the very epoch that said so. One that is
    asked for again continues from there.
    """
    left: dict[str, tuple[TrialRecord, Iterator[tuple[EpochRecord, End | None]]]] = {}
    turns = itertools.count()
    events: list[tuple[float, int, TrialRecord, EpochRecord, End | None, Iterator[tuple[EpochRecord, End | None]]]] = []
    spent = 0.0

    def go_on(now: float, record: TrialRecord, epochs: Iterator[tuple[EpochRecord, End | None]]) -> None:
        epoch, end = next(epochs)
        heapq.heappush(events, (now + epoch.seconds, next(turns), record, epoch, end, epochs))

    def start(now: float) -> None:
        asked = strategy.ask()
        if asked is not None:
            new = (TrialRecord(asked.trial_id, asked.number, asked.drawn, {}), course(asked))
            go_on(now, *left.pop(asked.trial_id, new))

    for _ in range(workers):
        start(0.0)
    while events and spent < seconds:
        now, _, record, epoch, end, epochs = heapq.heappop(events)
        spent += epoch.seconds
        record = replace(record, epochs=(*record.epochs, replace(epoch, time_ms=int(now * 1000))))
        asked = Suggestion(record.trial_id, record.number, dict(record.drawn))
        stopped = strategy.report(asked, record.epochs[-1], end is not None)
        if end is not None or stopped:
            left[record.trial_id] = record, epochs
            record = replace(record, end=end or End.PRUNED, ended_ms=int(now * 1000))
            strategy.tell(record)
            start(now)
        else:
            go_on(now, record, epochs)
        yield Moment(now, spent, record)
