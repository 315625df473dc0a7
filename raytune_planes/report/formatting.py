"""Numbers and tables as plain text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any


def table(header: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> list[str]:
    """Aligned columns under a header; the columns numbered in ``right`` end at the same place."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    lines = []
    for row in [header, *rows]:
        cells = [c.rjust(w) if i in right else c.ljust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append("  " + "  ".join(cells).rstrip())
    return lines


def shown(value: float) -> str:
    """Four decimals; a dash for what is no number."""
    return f"{value:.4f}" if math.isfinite(value) else "-"


def signed(value: float) -> str:
    """Four decimals with their sign; a dash for what is no number."""
    return f"{value:+.4f}" if math.isfinite(value) else "-"


def value_text(value: Any) -> str:
    """A setting's value: four digits of a fraction, anything else as it is."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_json_number(value: float) -> float | None:
    """None for what is no number: JSON has no NaN."""
    return value if math.isfinite(value) else None
