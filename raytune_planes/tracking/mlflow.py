"""The tracker that keeps MLflow up to date from the files, in the background; it may fail and nothing is lost."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from raytune_planes.addresses import without_secrets
from raytune_planes.errors import UserError
from raytune_planes.invocation import command, in_folder
from raytune_planes.records import EpochRecord, TrialRecord
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.base import StudyEnd, StudyStart
from raytune_planes.tracking.data_curve import curve_runs
from raytune_planes.tracking.final import long_runs
from raytune_planes.tracking.keeping import is_freed
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.mlflow_store import MlflowStore
from raytune_planes.tracking.mlflow_ui import serve_ui

__all__ = ["MlflowTracker", "attach", "push", "serve_ui", "sync"]

log = logging.getLogger(__name__)

RETRY_S = 30.0
"""How long a store that did not answer is left alone."""
LAST_TRIES = 3
"""How often it is tried, a second apart, once the study has ended."""
GATHER_S = 0.5
"""How long news are gathered before they are sent: many epochs then travel together."""
NOTE_REST = 20.0
"""The note on a running study rests this many times as long as it took: it reads all records, which become many."""


class MlflowTracker:
    """Sends what the files hold and the store lacks, at every event. Place it after ``JsonlTracker``.

    It keeps no records of its own. A store that is away is tried again now and then; what it missed is found by
    comparing with the files, at the latest at the end of the study or by ``sync``.
    """

    def __init__(
        self,
        out: Path,
        uri: str | None = None,
        *,
        experiment: str | None = None,
        retry_s: float = RETRY_S,
        patience_s: float = 60.0,
    ) -> None:
        """``uri`` and ``experiment`` as ``MlflowPlace.of`` takes them.

        ``patience_s`` bounds how long the end of a study waits for a store that is slow.
        """
        self.out, self.place = out, MlflowPlace.of(out, uri, experiment)
        self.retry_s, self.patience_s = retry_s, patience_s
        self._news = threading.Condition()
        self._trials: dict[str, Path] = {}
        self._held: set[str] = set()  # trials that have ended and may lose their weights later
        self._stale: set[str] = set()
        self._study_stale, self._closing, self._is_behind, self._reopen = False, False, False, False
        self._thread: threading.Thread | None = None
        self._folder = Path()
        self._note_due_s = 0.0

    def start_study(self, start: StudyStart) -> None:
        if self._thread is not None:  # its goal has changed
            self._reopen = True
            self._tell(None)
            return
        self._folder = files.study_folder(self.out, start.name)
        self._thread = threading.Thread(target=self._follow, name="mlflow", daemon=True)
        self._thread.start()
        self._tell(None)

    def start_trial(self, trial: TrialRecord) -> None:
        self._trials[trial.trial_id] = files.trial_folder(self._folder, trial.number, trial.trial_id)
        self._tell(trial.trial_id)

    def log_epoch(self, trial_id: str, epoch: EpochRecord) -> None:
        self._tell(trial_id)

    def end_trial(self, trial: TrialRecord, artifacts: Sequence[Path] = ()) -> None:
        self._trials[trial.trial_id] = files.trial_folder(self._folder, trial.number, trial.trial_id)
        self._held.add(trial.trial_id)
        self._tell(trial.trial_id)
        self._tell(None)

    def end_study(self, end: StudyEnd) -> None:
        """Send the rest. When the store does not answer, say once how to send it later."""
        if self._thread is None:
            return
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._thread.join(self.patience_s)
        if self._thread.is_alive() or self._is_behind:
            log.warning(
                "MLflow at %s has not received all of this study. Nothing is lost: '%s' sends the rest",
                without_secrets(self.place.uri),
                command(f"sync {self._folder.name}{in_folder(self.out)}"),
            )

    def _tell(self, trial_id: str | None) -> None:
        with self._news:
            if trial_id is None:
                self._study_stale = True
            else:
                self._stale.add(trial_id)
            self._news.notify_all()

    def _follow(self) -> None:
        """The thread: gather, send, and after a failure wait."""
        store: MlflowStore | None = None
        last_tries = LAST_TRIES
        while last_tries:
            with self._news:
                self._news.wait_for(lambda: self._stale or self._study_stale or self._closing)
                self._news.wait_for(lambda: self._closing, GATHER_S)
                stale, study_stale, closing = self._stale, self._study_stale, self._closing
                self._stale, self._study_stale = set(), False
            try:
                if self._reopen:
                    store, self._reopen = None, False
                store = store or self._open()
                for trial_id in stale:
                    store.push_trial(reading.read_trial(self._trials[trial_id])[0], self._trials[trial_id])
                self._free(store)
                if closing:
                    push(store, self._folder)
                elif study_stale:
                    self._push_note(store)
                self._reached()
                last_tries = 0 if closing else last_tries
            except Exception as error:  # whatever MLflow and its database raise: the study must continue
                store = None  # what it held is no longer known
                self._missed(error)
                with self._news:
                    self._stale |= stale
                    self._study_stale |= study_stale
                if closing:
                    last_tries -= 1
                    time.sleep(1 if last_tries else 0)
                with self._news:
                    self._news.wait_for(lambda: self._closing, self.retry_s)

    def _free(self, store: MlflowStore) -> None:
        for trial_id in [i for i in tuple(self._held) if is_freed(self._trials[i])]:  # others end meanwhile
            store.free(trial_id, self._trials[trial_id])
            self._held.remove(trial_id)

    def _push_note(self, store: MlflowStore) -> None:
        began = time.monotonic()
        if began < self._note_due_s:
            with self._news:
                self._study_stale = True
            return
        store.push_references(self._folder)
        store.push_study(reading.read_study(self._folder))
        ended = time.monotonic()
        self._note_due_s = ended + NOTE_REST * (ended - began)

    def _open(self) -> MlflowStore:
        start = reading.read_ends(self._folder)[0]
        return MlflowStore(self.place.uri, start, self.out / "mlartifacts", self.place.experiment)

    def _reached(self) -> None:
        if self._is_behind:
            log.info("MLflow at %s answers again; what it missed has been sent", without_secrets(self.place.uri))
        self._is_behind = False

    def _missed(self, error: Exception) -> None:
        if not self._is_behind and isinstance(error, UserError):
            log.warning(
                "MLflow gets nothing of this study for now: %s. The study continues, its records are in files", error
            )
        elif not self._is_behind:
            where, why = without_secrets(self.place.uri), without_secrets(first_line(error))
            log.warning("MLflow at %s does not answer; the study continues, its records are in files (%s)", where, why)
        self._is_behind = True


def push(store: MlflowStore, folder: Path) -> None:
    """Send all of a study that ``store`` lacks."""
    study = reading.read_study(folder)
    _push(store, study, {t.trial_id: files.trial_folder(folder, t.number, t.trial_id) for t in study.trials})


def _push(store: MlflowStore, study: reading.StudyFiles, folders: Mapping[str, Path]) -> None:
    for trial in study.trials:
        store.push_trial(trial, folders[trial.trial_id])
        store.free(trial.trial_id, folders[trial.trial_id])
    for more in (*long_runs(study), *curve_runs(study)):
        store.push_trial(more.trial, more.folder, more.goal)
    store.push_references(study.folder)
    store.push_study(study)


def sync(folder: Path, uri: str | None = None, *, experiment: str | None = None) -> tuple[str, ...]:
    """Send what an MLflow store lacks of the study in ``folder``; a second time changes nothing.

    Returns the names of the runs that got anything.

    Raises:
        UserError: no study is there, the store does not answer, or its experiment was deleted.
    """
    study = reading.read_study(folder)
    folders = {t.trial_id: files.trial_folder(folder, t.number, t.trial_id) for t in study.trials}
    return push_records(study, MlflowPlace.of(folder.parent, uri, experiment), folders)


def push_records(study: reading.StudyFiles, place: MlflowPlace, folders: Mapping[str, Path]) -> tuple[str, ...]:
    """Send what the store at ``place`` lacks of ``study``; ``folders``: where the files of each trial are.

    Returns the names of the runs that got anything.

    Raises:
        UserError: the store does not answer, or its experiment was deleted.
    """
    try:
        store = MlflowStore(place.uri, study.start, study.folder.parent / "mlartifacts", place.experiment)
        _push(store, study, folders)
    except UserError:
        raise
    except Exception as error:  # MLflow raises its own, requests', SQLAlchemy's and the system's
        where, why = without_secrets(place.uri), without_secrets(first_line(error))
        raise UserError(
            f"MLflow at {where} did not accept the study: {why}; the files are complete, try again"
        ) from error
    return tuple(sorted(store.changed))


def attach(folder: Path, paths: Sequence[Path], uri: str | None = None, *, experiment: str | None = None) -> None:
    """Put the files of a report, its page first, beside the run of the study in ``folder``.

    Raises whatever MLflow raises.
    """
    start = reading.read_ends(folder)[0]
    place = MlflowPlace.of(folder.parent, uri, experiment)
    store = MlflowStore(place.uri, start, folder.parent / "mlartifacts", place.experiment)
    store.attach(paths, "report")
    store.show(reading.read_study(folder))  # the best trial's description links to it


def first_line(error: Exception) -> str:
    """What an error says, without the pages some libraries add."""
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0][:200]}"
