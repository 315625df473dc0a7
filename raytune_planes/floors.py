"""Floors that follow a reference: the metric that the defaults reach, or the dataset trained alone."""

from __future__ import annotations

import re
from dataclasses import dataclass

DEFAULTS, ALONE = "defaults", "alone"
REFERENCES = (DEFAULTS, ALONE)
"""What a floor may follow: trial 0, or the training of the metric's dataset alone with as many of its samples."""

_FORM = re.compile(r"(?P<reference>[a-z]+)(?:\s*(?P<sign>[+-])\s*(?P<size>\d*\.?\d+)\s*(?P<part>%)?)?")


@dataclass(frozen=True)
class Relative:
    """``defaults - 0.01``, ``alone``, ``defaults - 5 %``: a floor whose value is known once its reference is."""

    reference: str
    offset: float = 0.0
    """Added to the reference: in the metric's own unit, or as a share of the reference where ``is_share``."""
    is_share: bool = False

    def value(self, reference: float) -> float:
        """The floor, given the metric that the reference reached; never below 0."""
        return max(0.0, reference * (1 + self.offset) if self.is_share else reference + self.offset)

    def __str__(self) -> str:
        if not self.offset:
            return self.reference
        size = f"{abs(self.offset) * 100:g} %" if self.is_share else f"{abs(self.offset):g}"
        return f"{self.reference} {'-' if self.offset < 0 else '+'} {size}"

    @staticmethod
    def parse(text: str) -> Relative:
        """The floor that ``text`` describes.

        Raises:
            ValueError: it has another form, or names another reference.
        """
        match = _FORM.fullmatch(text.strip())
        if match is None or match["reference"] not in REFERENCES:
            examples = "'defaults - 0.01', 'alone - 0.02' or 'defaults - 5 %'"
            raise ValueError(f"{text!r} is neither a number nor a floor like {examples}")
        size = float(match["size"] or 0) / (100 if match["part"] else 1)
        return Relative(match["reference"], -size if match["sign"] == "-" else size, bool(match["part"]))
