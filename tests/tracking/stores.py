"""What a test asks of an MLflow store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, Run

from raytune_planes.tracking import JsonlTracker, Trackers
from raytune_planes.tracking.mlflow import MlflowTracker
from raytune_planes.tracking.mlflow_connection import connect


def experiment(client: MlflowClient) -> Experiment:
    found = client.get_experiment_by_name("raytune-planes")
    assert found is not None
    return found


def runs(client: MlflowClient, *order: str) -> list[Run]:
    order_by = list(order or ["attributes.run_name ASC"])
    return list(client.search_runs([experiment(client).experiment_id], order_by=order_by))


def contents(uri: str) -> dict[str, Any]:
    """All that people see of a store, by run name, without the ids that MLflow draws."""
    client = connect(uri)
    found = runs(client)
    names = {run.info.run_id: run.info.run_name for run in found}
    assert len(set(names.values())) == len(found), "a run is there twice"
    return {str(run.info.run_name): _content(client, run, names) for run in found}


def _content(client: MlflowClient, run: Run, names: dict[str, str]) -> dict[str, Any]:
    tags = {k: names.get(v, v) for k, v in run.data.tags.items()}
    history = {
        key: [(m.step, m.timestamp, repr(m.value)) for m in client.get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
    }
    files = sorted(f.path for f in client.list_artifacts(run.info.run_id))
    inputs = run.inputs.dataset_inputs if run.inputs else []
    data = sorted((d.dataset.name, d.dataset.digest) for d in inputs)
    times = (run.info.start_time, run.info.end_time, run.info.status)
    return {"params": run.data.params, "tags": tags, "metrics": history, "files": files, "data": data, "times": times}


def tracked(out: Path, uri: str | None = None, **more: Any) -> Trackers:
    return Trackers(JsonlTracker(out), MlflowTracker(out, uri, **more))
