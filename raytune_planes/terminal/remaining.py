"""How long the trials of a study will still take: a range, learnt from those that have ended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CHANCE = 0.8
"""That what remains lies in the range."""
STARTING, UNKNOWN = "the processes of the first trials start", "the time to go is known after the first epoch"
"""What is told while nothing is known."""
UNKNOWN_SPREAD = 0.5
"""Of a trial's length, relative to its mean, while fewer than two have ended: some are pruned early."""


@dataclass(frozen=True)
class Length:
    """How long a trial is, and how far it is or was when it ended."""

    pace: float | None
    """Seconds from its first to its last epoch; None while that is not known."""
    share: float
    """Of its epochs that it has trained, in [0, 1]."""


def remaining(
    ended: Sequence[Length], running: Sequence[Length], waiting: int, at_once: int
) -> tuple[float, float] | None:
    """The least and the most seconds that are likely, with a chance of about ``CHANCE``.

    A trial takes its pace times the share of its epochs after which it ends, 1 unless it is pruned or converges.
    Short trials end first, so those that run count too: with their own pace, and with the share at which trials ended
    that came as far. The sum over trials to come varies with each of them and with how little is known of their mean.

    Args:
        ended: Trials that have ended, pruned ones included.
        running: Trials that run.
        waiting: Trials that have not begun.
        at_once: Trials that run at the same time.

    Returns:
        None while nothing is known of any trial.
    """
    from scipy.special import stdtrit  # Student's quantile; imported by whom it serves alone

    paces = [length.pace for length in (*ended, *running) if length.pace is not None]
    if not paces:
        return None
    ends = [_end(ended, length.share) for length in running]
    pace, paces_vary = _moments(paces)
    share, shares_vary = _moments([length.share for length in ended] + [mean for mean, _ in ends])
    mean = pace * share
    varies = pace**2 * shares_vary + share**2 * paces_vary + shares_vary * paces_vary
    if len(ended) < 2:
        varies = max(varies, (UNKNOWN_SPREAD * mean) ** 2)
    work, variance = waiting * mean, varies * (waiting + waiting**2 / len(paces))
    for length, (end, end_varies) in zip(running, ends, strict=True):
        own = pace if length.pace is None else length.pace
        work += (left := own * (end - length.share))
        variance += own**2 * end_varies if len(ended) > 1 else (UNKNOWN_SPREAD * left) ** 2
    quantile = float(stdtrit(max(1, len(paces) - 1), (1 + CHANCE) / 2))
    # What is left is above 0 however little is known: the least is that of a log-normal variable of this mean and
    # variance, which is the normal one's where they hardly differ.
    least = work * math.exp(-quantile * math.sqrt(math.log1p(variance / work**2))) if work else 0.0
    lanes = max(1, min(at_once, len(running) + waiting))
    alone = mean * (1 - 1 / lanes)  # at the most the last trial runs while the other places are empty
    return least / lanes, (work + quantile * math.sqrt(variance)) / lanes + alone


def _end(ended: Sequence[Length], share: float) -> tuple[float, float]:
    """Mean and variance of the share at which trials ended that came as far as ``share``; the last epoch for none."""
    return _moments([length.share for length in ended if length.share >= share] or [1.0])


def _moments(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), statistics.variance(values) if len(values) > 1 else 0.0


def span(low: float, high: float) -> str:
    """``2 to 5 min``, ``40 s``, ``1.5 to 2 h``, ``up to 4 min``, ``a few seconds``: seconds as a person says them."""
    unit, size = next((u, s) for u, s in (("h", 3600.0), ("min", 60.0), ("s", 1.0)) if high >= 2 * s or s == 1.0)
    halves = unit != "s"
    least, most = (f"{_rounded(value / size, halves):g}" for value in (low, high))
    if most == "0":
        return "a few seconds"
    if least == "0":
        return f"up to {most} {unit}"
    return f"{most} {unit}" if least == most else f"{least} to {most} {unit}"


def _rounded(value: float, halves: bool) -> float:
    """To whole numbers; below 5 to ``halves`` where these say more."""
    return round(2 * value) / 2 if halves and value < 5 else float(round(value))
