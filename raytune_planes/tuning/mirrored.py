"""A search's database with a copy in memory: written through at once, read from memory."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from raytune_planes.tuning.optuna_hooks import id_of
from raytune_planes.tuning.patient import Patient


class Mirrored(BaseStorage):
    """``database`` as one driver needs it: nobody else writes to its studies, so nothing is read from it twice.

    Optuna reads all trials that run from a database at every question, several times for each suggestion: with 400 at
    once that took half a second. What is written is in the database before it is in the copy.
    """

    def __init__(self, database: BaseStorage) -> None:
        self.database = database
        self._memory = InMemoryStorage()
        self._studies: dict[int, int] = {}
        """Ids of studies and trials in memory -> in the database."""
        self._trials: dict[int, int] = {}

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        there = self.database.create_new_study(directions, study_name)
        study_id = self._memory.create_new_study(directions, self.database.get_study_name_from_id(there))
        self._studies[study_id] = there
        return study_id

    def delete_study(self, study_id: int) -> None:
        self.database.delete_study(self._studies.pop(study_id))
        self._memory.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self.database.set_study_user_attr(self._studies[study_id], key, value)
        self._memory.set_study_user_attr(study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self.database.set_study_system_attr(self._studies[study_id], key, value)
        self._memory.set_study_system_attr(study_id, key, value)

    def get_study_id_from_name(self, study_name: str) -> int:
        """Its id in memory; it is read here where it is new to this process. Raises KeyError."""
        try:
            return self._memory.get_study_id_from_name(study_name)
        except KeyError:
            there = self.database.get_study_id_from_name(study_name)
        study_id = self._memory.create_new_study(self.database.get_study_directions(there), study_name)
        self._studies[study_id] = there
        for key, value in self.database.get_study_user_attrs(there).items():
            self._memory.set_study_user_attr(study_id, key, value)
        for key, value in self.database.get_study_system_attrs(there).items():
            self._memory.set_study_system_attr(study_id, key, value)
        self._take_new(study_id)
        return study_id

    def get_study_name_from_id(self, study_id: int) -> str:
        return self._memory.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        return self._memory.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        return self._memory.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        return self._memory.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[Any]:
        return self._memory.get_all_studies()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        losses = self._losses
        there = self.database.create_new_trial(self._studies[study_id], template_trial)
        if losses != self._losses:  # one may have been made whose answer was lost
            self._take_new(study_id)
            return next(here for here, other in self._trials.items() if other == there)
        trial_id = self._memory.create_new_trial(study_id, template_trial)
        self._trials[trial_id] = there
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self.database.set_trial_param(self._trials[trial_id], param_name, param_value_internal, distribution)
        self._memory.set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        losses = self._losses
        is_set = self.database.set_trial_state_values(self._trials[trial_id], state, values)
        if not is_set and losses == self._losses:  # else it had been set, and the answer was lost
            return False
        return self._memory.set_trial_state_values(trial_id, state, values)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self.database.set_trial_intermediate_value(self._trials[trial_id], step, intermediate_value)
        self._memory.set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.database.set_trial_user_attr(self._trials[trial_id], key, value)
        self._memory.set_trial_user_attr(trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self.database.set_trial_system_attr(self._trials[trial_id], key, value)
        self._memory.set_trial_system_attr(trial_id, key, value)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        return self._memory.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        return self._memory.get_all_trials(study_id, deepcopy, states)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        return self._memory.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    @property
    def _losses(self) -> int:
        """How often the connection was lost so far."""
        return self.database.losses if isinstance(self.database, Patient) else 0

    def _take_new(self, study_id: int) -> None:
        """Copy the trials that memory lacks. Raises ValueError where the database has lost one between others."""
        known = set(self._trials.values())
        trials = sorted(self.database.get_all_trials(self._studies[study_id]), key=lambda trial: trial.number)
        for place, trial in enumerate(trials):
            if trial.number != place:
                raise ValueError(f"trial {place} is missing")
            if (there := id_of(trial)) not in known:
                self._trials[self._memory.create_new_trial(study_id, trial)] = there
