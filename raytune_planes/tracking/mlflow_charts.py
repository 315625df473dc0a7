"""The charts of a study's view in MLflow's UI: history of the objectives, front, parallel coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from raytune_planes.records import split_metric
from raytune_planes.tracking.base import StudyStart

SECTION, ALONE = "study", "study-settings"
"""Sections; the second has a single column, as parallel coordinates need the width."""
NUMBER = "trial"
"""Metric of a trial's run: its number, for the history's axis. Charts cannot read tags."""
PAIRS = 3
"""Most fronts, of pairs of objectives."""
AXES = 8
"""Most settings among the parallel coordinates, so that their names do not overlap."""
RUNS = 100
"""Most trials in a chart, as the UI has it where it makes one."""


def result_name(metric: str) -> str:
    """``val/fgvc/accuracy`` -> ``best/fgvc/accuracy``, a trial's result; other names as they are."""
    parts = split_metric(metric)
    return f"best/{parts[1]}/{parts[2]}" if parts else metric


def charts(start: StudyStart, settings: Sequence[str]) -> dict[str, Any]:
    """What the state of a view says of charts; those that the UI makes of each metric follow in sections of their own.

    Args:
        start: The study.
        settings: Names of parameters that every trial has: one that lacks any is missing from parallel coordinates.
    """
    objectives = [result_name(o.metric) for o in start.goal.objectives]
    history = [_scatter(f"history-{i}", f"History: {_short(o)}", NUMBER, o) for i, o in enumerate(objectives)]
    fronts = [
        _scatter(f"front-{i}", f"Front: {_short(a)} and {_short(b)}", a, b)
        for i, (a, b) in enumerate(list(combinations(objectives, 2))[:PAIRS])
    ]
    axes = {"selectedParams": list(settings[:AXES]), "selectedMetrics": objectives, "showAllRuns": False}
    parallel = {**_card("parallel", "PARALLEL", "Settings and objectives", ALONE), **axes, "runsCountToCompare": RUNS}
    shown = {"display": True, "isReordered": True, "deleted": False, "isGenerated": False}
    sections = [
        {"uuid": SECTION, "name": "Study", **shown},
        {"uuid": ALONE, "name": "Study: settings and objectives", "columns": 1, **shown},
    ]
    return {
        "compareRunCharts": [*history, *fronts, parallel],
        "compareRunSections": sections,
        "isAccordionReordered": True,  # else the UI sorts sections by name, and this one comes last
    }


def _scatter(uuid: str, name: str, across: str, up: str) -> dict[str, Any]:
    axes = {"xaxis": {"key": across, "type": "METRIC"}, "yaxis": {"key": up, "type": "METRIC"}}
    return {**_card(uuid, "SCATTER", name), **axes, "runsCountToCompare": RUNS}


def _card(uuid: str, kind: str, name: str, section: str = SECTION) -> dict[str, Any]:
    whose = {"metricSectionId": section, "deleted": False, "isGenerated": False}
    return {"uuid": f"{SECTION}-{uuid}", "type": kind, "displayName": name, **whose}


def _short(result: str) -> str:
    return result.removeprefix("best/").replace("/", " ")
