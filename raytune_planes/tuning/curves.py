"""A trial's course over the samples of one stage: its metrics between two reports, and where they are going."""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass

from raytune_planes.records import EpochRecord


@dataclass(frozen=True)
class Curve:
    """The epochs of a trial in the stage that it has reached."""

    began: int
    """Samples before the first of them; above 0 the weights come from another stage."""
    epochs: tuple[EpochRecord, ...]

    @property
    def is_forked(self) -> bool:
        """Whether the trial trained nothing before these epochs, and began with another's weights."""
        return self.began > 0 and self.epochs[0].began == self.began

    @property
    def ends(self) -> tuple[int, ...]:
        """Samples where the stage began, then at the end of each epoch."""
        return (self.began, *(epoch.samples for epoch in self.epochs))

    def at(self, metric: str, samples: int, chance: float = math.nan) -> float:
        """A metric at exactly ``samples``, on the line between the two reports around them.

        Before the first report the line begins at ``chance`` where the training itself began. Where it began with the
        weights of another stage they were not measured with this stage's settings, and the first report is used as is.
        """
        i = bisect.bisect_left(self.epochs, samples, hi=len(self.epochs) - 1, key=lambda e: e.samples)
        epoch, before = self.epochs[i], self.epochs[i - 1] if i else None
        now = epoch.metrics.get(metric, math.nan)
        first = math.nan if self.began else chance
        start, was = (before.samples, before.metrics.get(metric, math.nan)) if before else (self.began, first)
        if not math.isfinite(was) or epoch.samples <= start:
            return now
        return was + (now - was) * min(1.0, max(0.0, (samples - start) / (epoch.samples - start)))

    def reach(self, metric: str, budget: int) -> float:
        """Where a metric would stand at ``budget`` samples at the mean slope of the second half of the curve.

        Unbounded while there is one report; NaN where the metric is no number.
        """
        now = self.epochs[-1]
        earlier = [epoch for epoch in self.epochs[:-1] if epoch.samples < now.samples]
        samples = now.samples - self.began
        half = next(
            (epoch for epoch in reversed(earlier) if 2 * (epoch.samples - self.began) <= samples),
            earlier[0] if earlier else None,
        )
        value = now.metrics.get(metric, math.nan)
        if half is None or not math.isfinite(value):
            return math.inf if math.isfinite(value) else math.nan
        slope = (value - half.metrics.get(metric, math.nan)) / (now.samples - half.samples)
        return value + max(0.0, slope) * max(0, budget - now.samples)


def extended(curve: Curve | None, epoch: EpochRecord) -> Curve:
    """``curve`` with one more epoch; a new one where the epoch begins a stage, or is the trial's first."""
    if curve is None:
        return Curve(epoch.began, (epoch,))
    if curve.epochs[-1].stage != epoch.stage:
        return Curve(curve.epochs[-1].samples, (epoch,))
    return Curve(curve.began, (*curve.epochs, epoch))
