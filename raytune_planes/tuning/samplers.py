"""The samplers of Optuna that a study may use, with their options in one place."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler

from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.settings import overlaid, value_of
from raytune_planes.space import SAMPLERS, Space
from raytune_planes.tuning.optuna_hooks import tpe
from raytune_planes.tuning.seen import Known, Seen

OPTIONS: Mapping[str, Mapping[str, Any]] = {
    # Optuna 5 would take the multivariate form for one objective, without support for conditional dimensions; on
    # LCBench that lost to random search with halving in 3 of 3 tasks, the univariate form won in 3 of 3.
    "tpe": {"multivariate": False, "n_startup_trials": 10, "n_ei_candidates": 24, "constant_liar": True},
    "random": {},
    "nsga2": {"population_size": 20},
    "gp": {"n_startup_trials": 10, "warn_independent_sampling": False},
}
_BUILDERS: Mapping[str, Callable[..., BaseSampler]] = {
    "tpe": tpe,
    "random": RandomSampler,
    "nsga2": NSGAIISampler,
    "gp": GPSampler,
}


def build(
    name: str,
    seed: int,
    turn: int,
    options: Mapping[str, Any] | None = None,
    known: dict[int, Known] | None = None,
    salt: int = 0,
) -> BaseSampler:
    """The sampler for the ``turn``-th question of a study.

    A fresh one each time, seeded by both numbers: what it proposes is then a function of the seed and of the trials in
    the database, so that a resumed study continues as if never interrupted.

    Args:
        known: trials that have ended, as an earlier turn saw them; new ones come to it. None for Optuna's own view.
        salt: of what the study learnt; 0 for nothing. With the seed of an earlier study it would draw that one's trials
            again.
    """
    state = np.random.SeedSequence([seed, turn, salt] if salt else [seed, turn]).generate_state(1)[0]
    with quiet():
        sampler = _BUILDERS[name](seed=int(state), **{**OPTIONS[name], **(options or {})})
    return sampler if known is None or name not in ("tpe", "gp") else Seen(sampler, known, always=name == "gp")


def check_sampler(name: str, space: Space) -> None:
    """Refuse a sampler that there is not, or that cannot search ``space``.

    Raises:
        UserError: says which sampler can.
    """
    if name not in SAMPLERS:
        raise UserError(f"no sampler '{name}'{did_you_mean(name, SAMPLERS)}; there are: {', '.join(SAMPLERS)}")
    if name != "gp":
        return
    flat = overlaid(space.fixed, space.start)
    conditional = [d.path for d in space.search if d.when]
    outside = [d.path for d in space.search if not d.contains(value_of(flat, d.path))]
    if conditional:
        raise UserError(
            f"sampler gp needs every dimension in every trial, but {', '.join(conditional)} of search space "
            f"{space.name} are conditional (when); choose tpe, random or nsga2, or fix the settings they depend on"
        )
    if outside:
        raise UserError(
            f"sampler gp needs the defaults inside the ranges, but those of {', '.join(outside)} lie outside; "
            f"choose tpe, random or nsga2, or widen the ranges of search space {space.name}"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Inside the block: no progress lines of Optuna and its database layer, no warnings that a feature is young."""
    before, alembic = optuna.logging.get_verbosity(), logging.getLogger("alembic")
    level = alembic.level
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    alembic.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
        alembic.setLevel(level)
