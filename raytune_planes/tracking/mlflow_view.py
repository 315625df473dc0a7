"""How MLflow's UI shows a study: its trials, best first, with their results, their ends and the settings they drew."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from raytune_planes.records import TrialRecord, split_metric
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.mlflow_charts import charts, result_name
from raytune_planes.tracking.mlflow_fields import short_names

TAG = "mlflow.sharedViewState."
"""Experiment tag in which the UI keeps a view that was shared: no public interface (MLflow 3.17). A UI that does not
read it shows columns of its own; the runs and their results are the same."""


def view_tag(start: StudyStart, best: str, trials: Sequence[TrialRecord] = ()) -> tuple[str, str]:
    """The experiment tag that holds the study's view: columns chosen, sorted by ``score``, the run ``best`` pinned, and
    the study's charts before those of each metric."""
    goal = start.goal
    keys = [*(o.metric for o in goal.objectives), *goal.floors]
    results = [result_name(key) for key in keys if split_metric(key)]
    names = short_names(start.searched)
    drawn = [trial.drawn for trial in trials if trial.drawn]
    always = [name for path, name in names.items() if all(path in values for values in drawn)]
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
        **charts(start, always),
    }
    return TAG + start.study_id, json.dumps(state)


def view_path(experiment_id: str, start: StudyStart, *, as_charts: bool = False) -> str:
    """What follows ``http://host:port/`` in the address of the study's view: its table, or its charts."""
    shown = {"compareRunsMode": "CHART"} if as_charts else {}
    query = urlencode({"viewStateShareKey": start.study_id, "workflowType": "machine_learning", **shown})
    return f"#/experiments/{experiment_id}/runs?{query}"
