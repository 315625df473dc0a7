"""The long budget at which a study trains its choice and the defaults at its end, and what that costs."""

from __future__ import annotations

from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.records import stage_names
from raytune_planes.settings import Value, epochs_in_all, flatten, make_config
from raytune_planes.space.dimension import Space


def lengthened(plan: str, epochs: int) -> dict[str, Value]:
    """The settings that give a training ``epochs`` epochs; with a ``plan`` of stages, its last stage."""
    last = stage_names(plan)[-1:]
    return {f"stages.{last[0]}.budget.epochs" if last else "budget.epochs": epochs}


def long_budget(space: Space, epochs: int) -> int:
    """``epochs``, or 0 for no final training: where none is asked for, or they are no more than a trial has."""
    return epochs if epochs > _last(_first(space)) else 0


def long_in_all(space: Space, epochs: int) -> int:
    """Epochs of the final training, of all its stages or folds together; 0 for no final training."""
    return epochs_in_all(flatten(longer(space, epochs))) if long_budget(space, epochs) else 0


def too_short(space: Space, epochs: int) -> str:
    """Why there is no final training although ``epochs`` ask for one, or ``""``."""
    if not epochs or long_budget(space, epochs):
        return ""
    return (
        f"a final training of {epochs} epochs is not longer than a trial, which has {_last(_first(space))} "
        "(budget.epochs)"
    )


def refuse_short(space: Space, epochs: int | None) -> None:
    """Raises UserError where a person has asked for a final training that is no longer than a trial."""
    if epochs and (why := too_short(space, epochs)):
        raise UserError(f"--final {epochs}: {why}; give more epochs, or --final 0 for none")


def planned(space: Space, epochs: int) -> str:
    """What the final training costs, in a sentence; ``""`` where there is none."""
    if not long_budget(space, epochs):
        return ""
    each, usual = _samples(longer(space, epochs)), _samples(_first(space))
    return (
        f"final training: the choice and the defaults again, with {epochs} epochs and {each:,} samples each; "
        f"both together cost as much as {2 * each / usual:.2g} trials of {usual:,} samples"
    )


def longer(space: Space, epochs: int) -> TrialConfig:
    """The defaults of ``space`` at the long budget."""
    return make_config(space.fixed, space.start, lengthened(_first(space).plan, epochs))


def _first(space: Space) -> TrialConfig:
    return make_config(space.fixed, space.start, source=f"search space {space.name}")


def _last(config: TrialConfig) -> int:
    return config.staged[-1][1].budget.epochs


def _samples(config: TrialConfig) -> int:
    return config.split.trainings * config.samples
