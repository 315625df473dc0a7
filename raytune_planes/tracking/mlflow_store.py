"""Brings a study's records into an MLflow store: only what is missing there, so that doing it twice changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.paths import sqlite_file
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.tracking import files, mlflow_fields
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.final import long_runs
from raytune_planes.tracking.mlflow_connection import analyze, connect, experiment_id
from raytune_planes.tracking.mlflow_fields import Point
from raytune_planes.tracking.mlflow_view import view_tag
from raytune_planes.tracking.reading import StudyFiles

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

DONE = "records"
"""Tag with the digest of the records that are completely there."""
NOT_KEPT = frozenset({files.LAST})
"""Needed to continue a trial; not for readers."""


@dataclass
class _Sent:
    """What the store has of one run."""

    run_id: str
    digest: str = ""
    status: str = "RUNNING"
    epochs: set[tuple[int, int]] | None = None
    """Step and time of every epoch; None when the store has not been asked."""
    params: bool = False
    was_there: bool = False
    """Whether an earlier connection made it."""


@dataclass
class MlflowStore:
    """A connection to one experiment, and what it is known to hold of one study.

    Every method may raise whatever MLflow raises; after that, build a new one: it asks the store what it holds.
    """

    uri: str
    start: StudyStart
    artifacts: Path
    """Where artifacts go when the store is a database rather than a server that knows its own place."""
    experiment: str
    changed: set[str] = field(default_factory=set)
    """Names of the runs that got anything."""

    def __post_init__(self) -> None:
        self._client = connect(self.uri)
        self.experiment_id = experiment_id(self._client, self.experiment, self.uri, self.artifacts)
        runs = _runs_of(self._client, self.experiment_id, self.start.study_id)
        self._trials = {
            r.data.tags["trial_id"]: _sent(r) for r in runs if r.data.tags.get("kind") in ("trial", "final")
        }
        self._parent = next((_sent(r) for r in runs if r.data.tags.get("kind") == "study"), None)
        if self._parent is None:
            tags = mlflow_fields.parent_tags(self.start)
            self._parent = _Sent(self._new_run(self.start.name, tags, self.start.started_ms))
            self._client.set_experiment_tag(self.experiment_id, *view_tag(self.start))

    def push_trial(self, trial: TrialRecord, folder: Path, goal: Goal | None = None) -> None:
        """Bring the store up to this record; ``folder`` holds the trial's files, which follow when it has ended.

        ``goal`` ranks its epochs; None for the study's.
        """
        digest = mlflow_fields.digest(trial)
        sent = self._trials.get(trial.trial_id)
        if sent is None:
            tags = mlflow_fields.trial_tags(self.start, trial) | mlflow_fields.end_tags(trial)
            tags["mlflow.parentRunId"] = self.parent_run_id
            run_id = self._new_run(mlflow_fields.trial_name(trial), tags, trial.started_ms)
            sent = self._trials[trial.trial_id] = _Sent(run_id, epochs=set())
        if sent.digest == digest:
            return
        self.changed.add(mlflow_fields.trial_name(trial))
        if not sent.params:
            cut = mlflow_fields.shortened(self.start, trial)
            marks = {"shortened": ", ".join(cut)[: mlflow_fields.LONGEST]} if cut else {}
            self._log(sent.run_id, params=mlflow_fields.params(self.start, trial), tags=marks)
            if cut and (config := folder / files.CONFIG).is_file():  # at once: the values are nowhere else in MLflow
                self._push_files(sent.run_id, [config], folder)
            sent.params = True
        self._push_epochs(sent, trial)
        if trial.end is not End.RUNNING:
            self._log(sent.run_id, points=self._new(sent, mlflow_fields.result_points(trial, goal or self.start.goal)))
            self._push_files(sent.run_id, _kept(folder), folder)
        self._set_status(sent, mlflow_fields.STATUS[trial.end], trial.ended_ms)
        # The digest comes last: whatever failed before is done again.
        self._log(sent.run_id, tags={**mlflow_fields.end_tags(trial), DONE: digest})
        sent.digest = digest

    def push_study(self, study: StudyFiles) -> None:
        """Bring the study's own run up to its files: the note always, the rest when it has ended."""
        assert self._parent is not None
        tags = {"mlflow.note.content": mlflow_fields.study_note(study)}
        if study.end is None:
            self.changed.add(self.start.name)
            self._log(self.parent_run_id, tags=tags)
            self._set_status(self._parent, "RUNNING", 0)
            return
        digest = mlflow_fields.digest(study.start, study.trials, study.end, *(long.trial for long in long_runs(study)))
        if self._parent.digest == digest:
            return
        self.changed.add(self.start.name)
        best = mlflow_fields.best_of(study)
        if best is not None:
            tags |= {"best_trial": mlflow_fields.trial_name(best), "best_trial_id": best.trial_id}
        space_tags = {"space": study.start.space, "seed": str(study.start.seed)}
        self._log(self.parent_run_id, points=mlflow_fields.study_points(study), params=space_tags)
        tops = (study.folder / name for name in (files.STUDY, files.SPACE, files.BEST))
        self._push_files(self.parent_run_id, [p for p in tops if p.is_file()], study.folder)
        self._set_status(self._parent, mlflow_fields.STATUS[study.end.end], study.end.ended_ms)
        tags |= {"end": str(study.end.end), "reason": study.end.reason[: mlflow_fields.LONGEST], DONE: digest}
        self._log(self.parent_run_id, tags=tags)
        self._parent.digest = digest
        if database := sqlite_file(self.uri):
            analyze(database)

    def attach(self, paths: Sequence[Path], inside: str) -> None:
        """Put a report's files, its page first, into the folder ``inside`` of the study's run, and note it there."""
        for path in paths:
            self._client.log_artifact(self.parent_run_id, str(path), inside)
        note = self._client.get_run(self.parent_run_id).data.tags.get("mlflow.note.content", "")
        where = f"Figures: artifact `{inside}/{paths[0].name}`."
        tags = {} if where in note else {"mlflow.note.content": f"{note[: mlflow_fields.LONGEST - 100]}\n\n{where}"}
        self._log(self.parent_run_id, tags={"report": f"{inside}/{paths[0].name}", **tags})

    @property
    def parent_run_id(self) -> str:
        assert self._parent is not None
        return self._parent.run_id

    def run_id(self, trial_id: str) -> str | None:
        """The run of a trial, if the store has it."""
        sent = self._trials.get(trial_id)
        return sent.run_id if sent else None

    def _push_epochs(self, sent: _Sent, trial: TrialRecord) -> None:
        if sent.epochs is None:
            sent.epochs = {(m.step, m.timestamp) for m in self._client.get_metric_history(sent.run_id, "samples")}
        missing = [e for e in trial.epochs if (e.epoch, e.time_ms) not in sent.epochs]
        steps = {step for step, _ in sent.epochs}
        missing = [e for e in missing if e.epoch not in steps or not self._has_values(sent.run_id, e)]
        self._log(sent.run_id, points=[p for e in missing for p in mlflow_fields.epoch_points(e)])
        sent.epochs |= {(e.epoch, e.time_ms) for e in missing}

    def _new(self, sent: _Sent, points: list[Point]) -> list[Point]:
        """The results that the run does not show already: a resumed or repaired run has the same results again."""
        shown = self._client.get_run(sent.run_id).data.metrics if sent.was_there else {}
        return [point for point in points if repr(shown.get(point[0])) != repr(point[1])]

    def _has_values(self, run_id: str, epoch: EpochRecord) -> bool:
        """Whether the store has these metrics of the epoch from another time: it was trained again after a loss."""
        return all(
            any(m.step == epoch.epoch and repr(m.value) == repr(float(value)) for m in history)
            for key, value in epoch.metrics.items()
            for history in [self._client.get_metric_history(run_id, key)]
        )

    def _push_files(self, run_id: str, paths: Sequence[Path], root: Path) -> None:
        for path in paths:
            inside = path.relative_to(root).parent
            self._client.log_artifact(run_id, str(path), None if inside == Path() else inside.as_posix())

    def _new_run(self, name: str, tags: Mapping[str, str], started_ms: int) -> str:
        run = self._client.create_run(self.experiment_id, started_ms or None, dict(tags), run_name=name)
        inputs = _dataset_inputs(self.start)
        if inputs:
            self._client.log_inputs(run.info.run_id, inputs)
        return str(run.info.run_id)

    def _set_status(self, sent: _Sent, status: str, ended_ms: int) -> None:
        if status == sent.status:
            return
        if status == "RUNNING":
            self._client.update_run(sent.run_id, status)
        else:
            self._client.set_terminated(sent.run_id, status, ended_ms or None)
        sent.status = status

    def _log(
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
            self._client.log_batch(run_id, metrics[:800], values[:90], marks[:90])
            metrics, values, marks = metrics[800:], values[90:], marks[90:]


def _runs_of(client: MlflowClient, experiment_id: str, study_id: str) -> list[Run]:
    runs: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], f"tags.study_id = '{study_id}'", max_results=1000, page_token=token)
        runs += page
        token = page.token
        if not token:
            return runs


def _sent(run: Run) -> _Sent:
    return _Sent(run.info.run_id, run.data.tags.get(DONE, ""), run.info.status, was_there=True)


def _dataset_inputs(start: StudyStart) -> list[DatasetInput]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs: list[DatasetInput] = []
    for name, described in start.data.items():
        source = "synthetic" if described.synthetic else "files"
        profile = ", ".join(f"{split}: {count}" for split, count in described.counts.items())
        dataset = Dataset(name, described.fingerprint[:36] or "unknown", source, "{}", profile=profile)
        inputs.append(DatasetInput(dataset, [InputTag("mlflow.data.context", "training")]))
    return inputs


def _kept(folder: Path) -> list[Path]:
    """A trial's files to keep, without those that are still being written."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return [p for p in files if p.name not in NOT_KEPT and not p.name.startswith(".")]
