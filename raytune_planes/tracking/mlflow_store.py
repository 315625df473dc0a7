"""Brings a study's records into an MLflow store: only what is missing there, so that doing it twice changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from raytune_planes.paths import sqlite_file
from raytune_planes.records import End, Goal, TrialRecord
from raytune_planes.tracking import files, mlflow_fields
from raytune_planes.tracking.base import StudyStart
from raytune_planes.tracking.data_curve import curve_runs
from raytune_planes.tracking.final import long_runs
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.keeping import is_freed
from raytune_planes.tracking.mlflow_connection import analyze, connect, experiment_id
from raytune_planes.tracking.mlflow_look import BEST, RANK, looks
from raytune_planes.tracking.mlflow_notes import experiment_note, marked, stale, study_note, written_notes
from raytune_planes.tracking.mlflow_references import REFERENCE, push_references
from raytune_planes.tracking.mlflow_runs import DONE, Runs, Sent, kept_files
from raytune_planes.tracking.mlflow_view import view_tag
from raytune_planes.tracking.notes import Notes
from raytune_planes.tracking.reading import StudyFiles


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
        client = connect(self.uri)
        self.experiment_id = experiment_id(client, self.experiment, self.uri, self.artifacts)
        self._runs = Runs(client, self.experiment_id, self.start)
        self._tags: dict[str, str] = dict(client.get_experiment(self.experiment_id).tags)
        if stale(self._tags, described := experiment_note(self.experiment_id, self.start)):
            for key, value in marked(described).items():
                client.set_experiment_tag(self.experiment_id, key, value)
        runs = self._runs.found("study_id", self.start.study_id)
        of_trials = [r for r in runs if r.data.tags.get("kind") in mlflow_fields.KINDS]
        self._trials = {r.data.tags["trial_id"]: Sent.of(r) for r in of_trials}
        self._parent = next((Sent.of(r) for r in runs if r.data.tags.get("kind") == "study"), None)
        self._report = self._parent.look.get("report", "") if self._parent else ""
        is_reference = [r for r in runs if r.data.tags.get("kind") == REFERENCE]
        self._references = {r.data.tags["reference_id"]: Sent.of(r) for r in is_reference}
        if self._parent is None:
            tags = mlflow_fields.parent_tags(self.start)
            self._parent = Sent(self._runs.new(self.start.name, tags, self.start.started_ms))
            self._show_view("")

    def push_trial(self, trial: TrialRecord, folder: Path, goal: Goal | None = None) -> None:
        """Bring the store up to this record; ``folder`` holds the trial's files, which follow when it has ended.

        ``goal`` ranks its epochs; None for the study's.
        """
        digest = mlflow_fields.digest(trial)
        sent = self._trials.get(trial.trial_id)
        if sent is None:
            # The UI lists tags in the order in which they arrived: how it ended comes first.
            tags = mlflow_fields.end_tags(trial) | mlflow_fields.trial_tags(self.start, trial)
            tags["mlflow.parentRunId"] = self.parent_run_id
            run_id = self._runs.new(mlflow_fields.trial_name(trial), tags, trial.started_ms)
            sent = self._trials[trial.trial_id] = Sent(run_id, epochs=set())
        if sent.digest == digest:
            return
        self.changed.add(mlflow_fields.trial_name(trial))
        if not sent.params:
            cut = mlflow_fields.shortened(self.start, trial)
            marks = {"shortened": ", ".join(cut)[: mlflow_fields.LONGEST]} if cut else {}
            self._runs.log(sent.run_id, params=mlflow_fields.params(self.start, trial), tags=marks)
            if cut and (config := folder / files.CONFIG).is_file():  # at once: the values are nowhere else in MLflow
                self._runs.push_files(sent.run_id, [config], folder)
            sent.params = True
        self._runs.push_epochs(sent, trial)
        if trial.end is not End.RUNNING:
            points = mlflow_fields.result_points(trial, goal or self.start.goal)
            self._runs.log(sent.run_id, points=self._runs.new_points(sent, points))
            self._runs.push_files(sent.run_id, kept_files(folder), folder)
            self._runs.mark_weights(sent, "")
        self._runs.set_status(sent, mlflow_fields.STATUS[trial.end], trial.ended_ms)
        # The digest comes last: whatever failed before is done again.
        tags = mlflow_fields.end_tags(trial)
        self._runs.log(sent.run_id, tags={**tags, DONE: digest})
        sent.look |= tags
        sent.digest = digest

    def free(self, trial_id: str, folder: Path) -> None:
        """Remove the weights of a trial that the study in whose ``folder`` they were no longer needs."""
        sent = self._trials.get(trial_id)
        if sent is not None and is_freed(folder):
            self._runs.remove_weights(sent, folder)

    def push_references(self, folder: Path) -> None:
        """Bring the store up to the datasets that the study in ``folder`` trained alone, or found trained."""
        self.changed |= push_references(self._runs, self.parent_run_id, self._references, folder)

    def push_study(self, study: StudyFiles) -> None:
        """Bring the study's own run up to its files: the note always, the rest when it has ended."""
        assert self._parent is not None
        self.show(study)
        if study.end is None:
            self.changed.add(self.start.name)
            self._runs.set_status(self._parent, "RUNNING", 0)
            return
        tags = dict[str, str]()
        notes = written_notes(study)
        written = (notes,) if notes != Notes() else ()  # without any, the digest is that of a store of before
        later = (each.trial for each in (*long_runs(study), *curve_runs(study)))
        digest = mlflow_fields.digest(study.start, study.trials, study.end, *later, *written)
        if self._parent.digest == digest:
            return
        self.changed.add(self.start.name)
        best = best_of(study)
        if best is not None:
            tags |= {"best_trial": mlflow_fields.trial_name(best), "best_trial_id": best.trial_id}
        space_tags = {"space": study.start.space, "seed": str(study.start.seed)}
        self._runs.log(self.parent_run_id, points=mlflow_fields.study_points(study), params=space_tags)
        tops = (study.folder / name for name in (files.STUDY, files.SPACE, files.BEST))
        self._runs.push_files(self.parent_run_id, [p for p in tops if p.is_file()], study.folder)
        self._runs.set_status(self._parent, mlflow_fields.STATUS[study.end.end], study.end.ended_ms)
        tags |= {"end": str(study.end.end), "reason": study.end.reason[: mlflow_fields.LONGEST], DONE: digest}
        self._runs.log(self.parent_run_id, tags=tags)
        self._parent.digest = digest
        if database := sqlite_file(self.uri):
            analyze(database)

    def _describe(self, study: StudyFiles) -> None:
        """Also of a study that ended long ago: it may say less, or otherwise, than this version does."""
        assert self._parent is not None
        note = study_note(study)
        if self._report:
            note = f"{note[: mlflow_fields.LONGEST - 100]}\n\nFigures: artifact `{self._report}`."
        if stale(self._parent.look, note):
            self.changed.add(self.start.name)
            self._runs.log(self.parent_run_id, tags=marked(note))
            self._parent.look |= marked(note)

    def show(self, study: StudyFiles) -> None:
        """Name and describe the runs by how they stand now, and keep the best one above the others."""
        self._describe(study)
        best = ""
        for trial_id, look in looks(study, self._report_address()).items():
            sent = self._trials.get(trial_id)
            if sent is None:
                continue
            best = sent.run_id if look[RANK] == BEST else best
            if self._runs.show(sent, look):
                self.changed.add(next(mlflow_fields.trial_name(t) for t in study.trials if t.trial_id == trial_id))
        self._show_view(best, study.trials)

    def _show_view(self, best: str, trials: Sequence[TrialRecord] = ()) -> None:
        key, value = view_tag(self.start, best, trials)
        if self._tags.get(key) != value:
            self._runs.client.set_experiment_tag(self.experiment_id, key, value)
            self._tags[key] = value

    def _report_address(self) -> str:
        if not self._report:
            return ""
        return f"#/experiments/{self.experiment_id}/runs/{self.parent_run_id}/artifacts/{self._report}"

    def attach(self, paths: Sequence[Path], inside: str) -> None:
        """Put a report's files, its page first, into the folder ``inside`` of the study's run, and note it there."""
        for path in paths:
            self._runs.client.log_artifact(self.parent_run_id, str(path), inside)
        self._report = f"{inside}/{paths[0].name}"
        self._runs.log(self.parent_run_id, tags={"report": self._report})

    @property
    def parent_run_id(self) -> str:
        assert self._parent is not None
        return self._parent.run_id

    def run_id(self, trial_id: str) -> str | None:
        """The run of a trial, if the store has it."""
        sent = self._trials.get(trial_id)
        return sent.run_id if sent else None
