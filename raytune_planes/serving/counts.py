"""How many planes a picture shows, by what they were counted, and how far such counts were off."""

from __future__ import annotations

from dataclasses import dataclass


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
            f"off by {self.error:.1f} of {self.planes:.1f} planes on average, and a constant by {self.constant:.1f}, "
            f"on {self.scenes} scenes unseen by the models measured"
        )


DETECTIONS, MASK, WINDOWS = "detections", "mask parts", "sliding windows"
MEASURED: dict[str, Measured] = {}


@dataclass(frozen=True)
class Count:
    """Of one picture."""

    planes: int
    by: str
    """``DETECTIONS`` where a detector was trained, else ``MASK``; ``WINDOWS`` for scenes read by chips."""

    @property
    def measured(self) -> Measured | None:
        """None where nobody measured it."""
        return MEASURED.get(self.by)

    def __str__(self) -> str:
        return f"{self.planes} plane(s), counted by {self.by} ({self.measured or 'error not measured'})"
