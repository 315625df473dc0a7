"""How MLflow's UI shows a study: its trials, best first, with their results, their ends and the settings they drew."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from raytune_planes.records import split_metric
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.mlflow_fields import short_names

TAG = "mlflow.sharedViewState."
"""Experiment tag in which the UI keeps a view that was shared: no public interface (MLflow 3.17). A UI that does not
read it shows columns of its own; the runs and their results are the same."""


def view_tag(start: StudyStart, best: str) -> tuple[str, str]:
    """The experiment tag that holds the study's view: columns chosen, sorted by ``score``, the run ``best`` pinned."""
    goal = start.goal
    named = [split_metric(key) for key in [*(o.metric for o in goal.objectives), *goal.floors]]
    results = [f"best/{parts[1]}/{parts[2]}" for parts in named if parts]
    names = short_names(start.searched)
    columns = [
        *(f"tags.`{name}`" for name in ("end", "reason", "floors")),
        *(f"metrics.`{name}`" for name in dict.fromkeys(["score", *results])),
        *(f"params.`{name}`" for name in names.values()),
    ]
    state: dict[str, Any] = {
        "searchFilter": f"tags.study_id = '{start.study_id}' and tags.kind = 'trial'",
        "orderByKey": "metrics.`score`",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
        "runsExpanded": {},
        "runsPinned": [best] if best else [],
        "runsHidden": [],
        "runsVisibilityMap": {},
        "runsHiddenMode": "FIRST_10_RUNS",
        "groupBy": None,
    }
    return TAG + start.study_id, json.dumps(state)


def view_path(experiment_id: str, start: StudyStart) -> str:
    """What follows ``http://host:port/`` in the address of the study's view."""
    query = urlencode({"viewStateShareKey": start.study_id, "workflowType": "MACHINE_LEARNING"})
    return f"#/experiments/{experiment_id}/runs?{query}"
