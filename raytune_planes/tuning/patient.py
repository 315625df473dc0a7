"""A search's database on a server: a connection that is lost in the middle of a study is waited for, and told."""

from __future__ import annotations

import functools
import logging
import re
import time
from collections.abc import Callable
from typing import Any

from optuna.exceptions import StorageInternalError, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, PendingRollbackError, SQLAlchemyError

from raytune_planes.errors import UserError
from raytune_planes.tuning.optuna_hooks import OF_STORAGE

PATIENCE_S = 600.0
"""How long a study waits for its database: time to start a server again. Its trials train on meanwhile."""
PAUSE_S = 1.0
METHODS = (
    *("create_new_trial", "set_trial_param", "set_trial_state_values", "set_trial_intermediate_value"),
    *("set_trial_user_attr", "set_trial_system_attr", "set_study_user_attr", "set_study_system_attr"),
    *("get_trial", "get_all_trials", "get_trial_id_from_study_id_trial_number", "get_study_id_from_name"),
    *("get_study_directions", "get_study_user_attrs", "get_study_system_attrs", "get_study_name_from_id"),
    *("get_trial_user_attrs", "get_trial_system_attrs", "get_trial_param", "get_best_trial", "create_new_study"),
    *("get_all_studies", "delete_study", "check_trial_is_updatable", *OF_STORAGE),
)
"""What Optuna asks of a storage, and its cache in between."""

GONE = re.compile(r'(database|role) "[^"]*" does not exist')

log = logging.getLogger(__name__)


class Patient(RDBStorage):
    """Asks again where the connection was lost; what was done before the answer was lost is not done twice.

    A trial that was made then has no draws and no id of ours: the next question of the search takes it.
    """

    def __init__(self, url: str, shown: str, name: str = "") -> None:
        """``shown``: the address for messages; ``name``: of this client, for whoever looks at the server."""
        self.shown = shown
        self.is_interrupted: Callable[[], bool] | None = None
        """Of the study that runs; None before it runs. Until then a lost connection is an error at once."""
        self.losses = 0
        """How often the connection was lost while the study ran."""
        self._is_asking = False
        seen = {"connect_args": {"application_name": name}} if name else {}
        super().__init__(url, engine_kwargs={"pool_pre_ping": True, **seen})

    def again(self, call: Callable[[], Any]) -> Any:
        """The answer of ``call``.

        Raises:
            UserError: the connection was lost before the study runs.
            KeyboardInterrupt: it was lost for too long, the study is interrupted meanwhile, or the database refuses
                what it took before: it was dropped, its tables are gone, or it is read only now.
        """
        if self._is_asking:  # one method of Optuna's calls another
            return call()
        lost_s: float | None = None
        self._is_asking = True
        try:
            while True:
                try:
                    answer = call()
                except UpdateFinishedTrialError:
                    if lost_s is None:
                        raise
                    answer = True  # it had been done
                except (StorageInternalError, SQLAlchemyError) as error:
                    if _is_gone(error) or not _is_lost(error):
                        self._end(error)
                    if not _is_lost(error):
                        raise
                    lost_s = self._wait(lost_s, error)
                    continue
                if lost_s is not None:
                    log.warning("The search's database at %s answers again: the study goes on", self.shown)
                return answer
        finally:
            self._is_asking = False

    def _end(self, error: BaseException) -> None:
        """Raises KeyboardInterrupt: the study runs, and waiting would mend nothing."""
        if self.is_interrupted is not None:
            raise KeyboardInterrupt(
                f"the search's database at {self.shown} does not take it any more: {_reason(error)}; nothing is lost: "
                "mend the database, and what it lacks is made again from the records when the study continues"
            ) from error

    def _wait(self, lost_s: float | None, error: BaseException) -> float:
        """Pause, and tell it the first time; returns since when."""
        now = time.monotonic()
        if self.is_interrupted is None:
            raise UserError(f"the search's database at {self.shown} was lost: {_reason(error)}; try again") from None
        self.losses += 1
        if lost_s is None:
            log.warning(
                "The search's database at %s does not answer (%s): the study waits for it, for %d minutes at most; "
                "trials that run go on to the end of their epoch",
                self.shown,
                _reason(error),
                PATIENCE_S // 60,
            )
        if self.is_interrupted():
            raise KeyboardInterrupt from None
        if lost_s is not None and now - lost_s > PATIENCE_S:
            raise KeyboardInterrupt(
                f"the search's database at {self.shown} has not answered for {PATIENCE_S // 60:.0f} minutes; nothing "
                "is lost: continue when it is back"
            ) from None
        time.sleep(PAUSE_S)
        return now if lost_s is None else lost_s


def _is_lost(error: BaseException) -> bool:
    """Whether the connection is why: a server that stops, is away, or starts and is not ready yet."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OperationalError | InterfaceError | PendingRollbackError):
            return True
        if isinstance(cause, DBAPIError) and cause.connection_invalidated:
            return True
        cause = cause.__cause__
    return False


def _is_gone(error: BaseException) -> bool:
    """Whether the server answers, and has no such database or user any more, which no waiting brings back."""
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    return GONE.search(str(getattr(error, "orig", ""))) is not None


def _reason(error: BaseException) -> str:
    """The line of what the driver said that says why; it names no login."""
    while error.__cause__ is not None and not isinstance(error, DBAPIError):
        error = error.__cause__
    said = error.orig if isinstance(error, DBAPIError) and error.orig else error
    lines = str(said).strip().splitlines() or [type(said).__name__]
    return next((line for line in lines if GONE.search(line)), lines[0])


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def asked(self: Patient, *args: Any, **kwargs: Any) -> Any:
        return self.again(lambda: method(self, *args, **kwargs))

    return asked


for _name in METHODS:
    if hasattr(RDBStorage, _name):
        setattr(Patient, _name, _patient(getattr(RDBStorage, _name)))
