"""Rungs at which trials pause, to continue once they are among the best there: asynchronous promotion."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.tuning.rungs import BASELINE, Rungs, Verdict


class PromotingRungs(Rungs):
    """As ``Rungs``, but who is not among the first ``1 / reduction`` of a rung pauses there and may continue later.

    This is ASHA as Li et al. (2020) define it. The first trials pause as well: of fewer than ``reduction`` none goes
    on. So little is spent on a configuration before there are others to compare it with, and none is lost because it
    stood at a rung when only better ones had been there. The baseline never pauses, nor at the lowest rung one of
    ``spared``.
    """

    END = End.PAUSED

    @property
    def least(self) -> int:
        return 1

    def _passing(self, stood: int) -> int:
        return stood // self.reduction

    def judge(self, number: int, epoch: EpochRecord, *, final: bool = False) -> Verdict:
        """As ``Rungs.judge``. A trial with an epoch behind the one that paused it was promoted."""
        if number in self._stopped and epoch.epoch > self._curves[number].epochs[-1].epoch:
            del self._stopped[number]
        return super().judge(number, epoch, final=final)

    def promoted(self, paused: Collection[int], *, is_last: bool = False) -> int | None:
        """Of the trials that are ``paused``, the one to continue: who passes the highest rung by now.

        Args:
            is_last: no further trial will come to a rung. Then of each at least one goes on, as with ``Rungs``.
        """
        for key in sorted(self._rungs, key=lambda key: -key[1]):
            rung = self._rungs[key]
            at = rung.standings
            waiting = {n for n in paused if n in at and self._judged.get(n) == key[1]}
            if not waiting:
                continue
            passing = super()._passing(len(at)) if is_last else self._passing(len(at))
            first = next((n for n in self._order(rung, passing, BASELINE)[:passing] if n in waiting), None)
            if first is not None:
                return first
        return None


def continued(rungs: Rungs | None, trials: Iterable[TrialRecord], *, is_last: bool) -> str | None:
    """The id of the paused one of ``trials`` that continues now; None for none."""
    if not isinstance(rungs, PromotingRungs):
        return None
    paused = {trial.number: trial.trial_id for trial in trials if trial.end is End.PAUSED}
    number = rungs.promoted(paused, is_last=is_last)
    return None if number is None else paused[number]
