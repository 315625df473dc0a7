"""How many planes a picture shows, by what they were counted, and how far such counts were off."""

from __future__ import annotations

from dataclasses import dataclass

from raytune_planes.printing import counted


@dataclass(frozen=True)
class Measured:
    """How far a way of counting was off, on scenes that the counting models had not seen."""

    error: float
    """Mean of |counted - there|, in planes."""
    planes: float
    """Mean of the planes that were there."""
    constant: float
    """The error of always telling the training scenes' mean."""
    scenes: int

    def __str__(self) -> str:
        return (
            f"measured with other models on {self.scenes} real scenes: off by {self.error:.1f} of "
            f"{self.planes:.1f} planes on average; the same count for every scene is off by {self.constant:.1f}"
        )


DETECTIONS, ORIENTED, MASK, WINDOWS = "detections", "oriented detections", "mask parts", "sliding windows"
MEASURED = {DETECTIONS: Measured(7.5, 35.2, 14.5, 27), MASK: Measured(8.0, 35.2, 14.5, 27)}
"""On 27 real scenes of HRPlanes by models of 2,400 steps with both terms (the third of 900): 21 validation scenes of
three of five folds, whose best epoch was chosen on the same scenes, and the six of test, each by all three models.
On the 21 detections are off by 6.1 of 36.1, mask parts by 7.0 and the constant by 15.9; on the six of test by 12.4 of
32.0, 11.4 and 9.6: there neither is better than a constant. What detections gain over mask parts is less than its
standard error (0.5 and 0.7). A model may be better or worse than these were."""


@dataclass(frozen=True)
class Count:
    """Of one picture."""

    planes: int
    by: str
    """``DETECTIONS`` or ``ORIENTED`` where a detector was trained, else ``MASK``; ``WINDOWS`` for scenes read by
    chips."""

    @property
    def measured(self) -> Measured | None:
        """None if it was not measured."""
        return MEASURED.get(self.by)

    def __str__(self) -> str:
        return f"{counted(self.planes, 'plane')}, counted by {self.by} ({self.measured or 'error not measured'})"
