"""The final training of a study in words and numbers: what held at the long budget, beside the budget of a trial."""

from __future__ import annotations

from typing import Any

from raytune_planes.report.formatting import as_json_number, shown, signed, table
from raytune_planes.tracking.final import Final, Row, handed_over, read_final, rows
from raytune_planes.tracking.gains import floor_in_words
from raytune_planes.tracking.reading import StudyFiles

HEADS = ("metric", "defaults", "best", "alone", "defaults, long", "choice, long", "gain, long")


def final_lines(study: StudyFiles) -> list[str]:
    """For a terminal: the verdict, then a line a metric with both budgets; empty where there is no final training."""
    final = read_final(study)
    if final is None:
        return []
    lines = [f"final training: {final.verdict}", *_budgets(study, final.epochs)]
    cells = [(*_cells(row), _floor(final, row.short.metric)) for row in rows(study, final)]
    return [*lines, *table((*HEADS, ""), cells, right=range(1, len(HEADS)))]


def final_rows(study: StudyFiles) -> list[tuple[str, ...]]:
    """Cells under ``HEADS``."""
    final = read_final(study)
    return [_cells(row) for row in rows(study, final)] if final else []


def final_json(study: StudyFiles) -> dict[str, Any] | None:
    """The same as values; NaN as None."""
    final = read_final(study)
    if final is None:
        return None
    handed = handed_over(study)
    return {
        "epochs": final.epochs,
        "trial": final.number,
        "ended": final.has_ended,
        "verdict": final.verdict,
        "handed_over": handed.trial.number if handed and handed.epochs else None,
        "floors": dict(final.goal.floors),
        "metrics": {
            row.short.metric: {
                "defaults": as_json_number(row.short.before),
                "best": as_json_number(row.short.after),
                "alone": as_json_number(row.short.alone),
                "long_defaults": as_json_number(row.before),
                "long_choice": as_json_number(row.after),
            }
            for row in rows(study, final)
        },
    }


def _budgets(study: StudyFiles, epochs: int) -> list[str]:
    usual = max((t.epochs[-1].epoch for t in study.trials if t.epochs), default=0)
    return [f"on the validation split: trials of up to {usual} epochs, then, long, {epochs} epochs"]


def _cells(row: Row) -> tuple[str, ...]:
    short, long = row.short, (row.before, row.after)
    values = (short.before, short.after, short.alone, *long)
    return (short.metric, *map(shown, values), signed(long[1] - long[0]))


def _floor(final: Final, key: str) -> str:
    return f"floor {floor_in_words(final.goal, key)}" if key in final.goal.floors else ""
