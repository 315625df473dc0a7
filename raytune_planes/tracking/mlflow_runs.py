"""The runs of one experiment of an MLflow store: made, found, and brought up to the records that belong to them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.tracking import files, mlflow_fields
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.mlflow_artifacts import link, remove
from raytune_planes.tracking.mlflow_fields import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

log = logging.getLogger(__name__)

DONE = "records"
"""Tag with the digest of the records that are completely there."""
NAME = "mlflow.runName"
"""Tag in which MLflow keeps a run's name."""
WEIGHTS_TAG, FREED = "weights", "freed"
"""Tag of a trial whose weights its study no longer needed, and its value."""
NOT_KEPT = frozenset({files.LAST})
"""Needed to continue a trial; not for readers."""


@dataclass
class Sent:
    """What the store has of one run."""

    run_id: str
    digest: str = ""
    status: str = "RUNNING"
    epochs: set[tuple[int, int]] | None = None
    """Step and time of every epoch; None when the store has not been asked."""
    params: bool = False
    was_there: bool = False
    """Whether an earlier connection made it."""
    look: dict[str, str] = field(default_factory=dict)
    """Its name and those of its tags that depend on the other trials (``mlflow_look``), as far as they are known."""

    @staticmethod
    def of(run: Run) -> Sent:
        look = {NAME: str(run.info.run_name), **run.data.tags}
        return Sent(run.info.run_id, run.data.tags.get(DONE, ""), run.info.status, was_there=True, look=look)


@dataclass(frozen=True)
class Runs:
    """Every method may raise whatever MLflow raises."""

    client: MlflowClient
    experiment_id: str
    start: StudyStart
    """The study whose runs are made."""

    def found(self, tag: str, value: str) -> list[Run]:
        """The runs that have this tag."""
        runs: list[Run] = []
        token: str | None = None
        while True:
            query = f"tags.{tag} = '{value}'"
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            runs += page
            token = page.token
            if not token:
                return runs

    def push_epochs(self, sent: Sent, trial: TrialRecord) -> None:
        """Send the epochs that the run lacks."""
        if sent.epochs is None:
            sent.epochs = {(m.step, m.timestamp) for m in self.client.get_metric_history(sent.run_id, "samples")}
        missing = [e for e in trial.epochs if (e.epoch, e.time_ms) not in sent.epochs]
        steps = {step for step, _ in sent.epochs}
        missing = [e for e in missing if e.epoch not in steps or not self._has_values(sent.run_id, e)]
        first = [*(o.metric for o in self.start.goal.objectives), *self.start.goal.floors]
        self.log(sent.run_id, points=[p for e in missing for p in mlflow_fields.epoch_points(e, first)])
        sent.epochs |= {(e.epoch, e.time_ms) for e in missing}

    def new_points(self, sent: Sent, points: list[Point]) -> list[Point]:
        """The results that the run does not show already: a resumed or repaired run has the same results again."""
        shown = self.client.get_run(sent.run_id).data.metrics if sent.was_there else {}
        return [point for point in points if repr(shown.get(point[0])) != repr(point[1])]

    def _has_values(self, run_id: str, epoch: EpochRecord) -> bool:
        """Whether the store has these metrics of the epoch from another time: it was trained again after a loss."""
        return all(
            any(m.step == epoch.epoch and repr(m.value) == repr(float(value)) for m in history)
            for key, value in epoch.metrics.items()
            for history in [self.client.get_metric_history(run_id, key)]
        )

    def push_files(self, run_id: str, paths: Sequence[Path], root: Path) -> None:
        """Keep files with a run, in the folders that they have below ``root``."""
        for path in paths:
            inside = path.relative_to(root).parent
            if path.name == files.WEIGHTS and inside == Path() and link(self.client, run_id, path):
                continue
            try:
                self.client.log_artifact(run_id, str(path), None if inside == Path() else inside.as_posix())
            except FileNotFoundError:
                if path.exists():
                    raise
                log.debug("%s was removed while it was sent", path)  # weights that the study no longer needs

    def remove_weights(self, sent: Sent, folder: Path) -> None:
        """Remove the weights that the run keeps of the trial in ``folder``, and note there that they were freed."""
        if sent.look.get(WEIGHTS_TAG):
            return
        is_removed = remove(self.client, sent.run_id, files.WEIGHTS)
        self.push_files(sent.run_id, [folder / files.FREED], folder)
        self.mark_weights(sent, FREED if is_removed else "kept: this store removes no artifacts")

    def mark_weights(self, sent: Sent, value: str) -> None:
        """Say on the run what has become of its weights; empty where it has them."""
        if sent.look.get(WEIGHTS_TAG, "") != value:
            self.log(sent.run_id, tags={WEIGHTS_TAG: value})
            sent.look[WEIGHTS_TAG] = value

    def new(self, name: str, tags: Mapping[str, str], started_ms: int) -> str:
        """Make a run; returns its id."""
        run = self.client.create_run(self.experiment_id, started_ms or None, dict(tags), run_name=name)
        inputs = _dataset_inputs(self.start)
        if inputs:
            self.client.log_inputs(run.info.run_id, inputs)
        return str(run.info.run_id)

    def show(self, sent: Sent, look: Mapping[str, str]) -> bool:
        """Give a run the name and the tags of ``look``; returns whether it had others."""
        changed = {key: value for key, value in look.items() if sent.look.get(key) != value}
        if NAME in changed:
            self.client.update_run(sent.run_id, name=changed[NAME])
        self.log(sent.run_id, tags={key: value for key, value in changed.items() if key != NAME})
        sent.look |= changed
        return bool(changed)

    def set_status(self, sent: Sent, status: str, ended_ms: int) -> None:
        if status == sent.status:
            return
        if status == "RUNNING":
            self.client.update_run(sent.run_id, status)
        else:
            self.client.set_terminated(sent.run_id, status, ended_ms or None)
        sent.status = status

    def log(
        self,
        run_id: str,
        *,
        points: Iterable[Point] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """One request for most calls: MLflow takes at most 1000 metrics, or 100 parameters, at once."""
        from mlflow.entities import Metric, Param, RunTag

        metrics = [Metric(key, value, time_ms, step) for key, value, time_ms, step in points]
        values = [Param(key, value) for key, value in (params or {}).items()]
        marks = [RunTag(key, value) for key, value in (tags or {}).items()]
        while metrics or values or marks:
            self.client.log_batch(run_id, metrics[:800], values[:90], marks[:90])
            metrics, values, marks = metrics[800:], values[90:], marks[90:]


def kept_files(folder: Path) -> list[Path]:
    """A trial's files to keep, without those that are still being written."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [p for p in files if p.name not in NOT_KEPT and not p.name.startswith(".")]


def _dataset_inputs(start: StudyStart) -> list[DatasetInput]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs: list[DatasetInput] = []
    for name, described in start.data.items():
        source = "synthetic" if described.synthetic else "files"
        profile = ", ".join(f"{split}: {count}" for split, count in described.counts.items())
        dataset = Dataset(name, described.fingerprint[:36] or "unknown", source, "{}", profile=profile)
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", "training")]))
    return inputs
