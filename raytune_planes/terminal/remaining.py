"""How long the trials of a study will still take: a range, learnt from those that have ended."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

EIGHTY_PERCENT = 1.28
"""Standard deviations on either side that hold 80 % of a normal distribution."""
UNKNOWN_SPREAD = 0.5
"""Of a trial's length, relative to its mean, while fewer than two have ended: some are pruned early."""


def remaining(
    took: Sequence[float], running: Sequence[float], waiting: int, at_once: int, whole: float | None = None
) -> tuple[float, float] | None:
    """The least and the most seconds that are likely, with a chance of about 80 %.

    The sum over trials to come varies with each of them (sigma sqrt(n)) and with how little is known of their mean
    (sigma n / sqrt(k), of k that have ended).

    Args:
        took: Seconds of each trial that has ended, pruned ones included.
        running: Seconds since each running trial began.
        waiting: Trials that have not begun.
        at_once: Trials that run at the same time.
        whole: Seconds of a trial to its last epoch, by the pace of those that run; used while none has ended.

    Returns:
        None while nothing is known of any trial.
    """
    if not took and whole is None:
        return None
    mean = statistics.fmean(took) if took else whole or 0.0
    known = len(took) or 1
    spread = statistics.stdev(took) if len(took) > 1 else UNKNOWN_SPREAD * mean
    number = len(running) + waiting
    work = sum(max(mean - already, 0.0) for already in running) + waiting * mean
    wide = EIGHTY_PERCENT * spread * math.sqrt(number + number**2 / known)
    lanes = max(1, min(at_once, number))
    return max(0.0, work - wide) / lanes, (work + wide) / lanes


def span(low: float, high: float) -> str:
    """``2 to 5 min``, ``40 s``, ``1.5 to 2 h``: seconds as a person says them."""
    unit, size = next((u, s) for u, s in (("h", 3600.0), ("min", 60.0), ("s", 1.0)) if high >= 2 * s or s == 1.0)
    texts = [f"{_rounded(value / size):g}" for value in (low, high)]
    least = "0" if texts[0] == "0" else texts[0]
    return f"{texts[1]} {unit}" if texts[0] == texts[1] else f"{least} to {texts[1]} {unit}"


def _rounded(value: float) -> float:
    """To halves below 5, else to whole numbers."""
    return round(2 * value) / 2 if value < 5 else float(round(value))
