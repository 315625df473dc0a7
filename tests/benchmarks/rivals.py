"""Other tuners on LCBench's curves, with the options that their documentation recommends, beside ours.

Each is driven through the calls that its own driver makes: Ray's objects as ``ray.tune`` calls them, Optuna's as
``study.optimize`` does, ours as ``tuning.callbacks.Recorder`` does, those of ``apart`` as the scripts there say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import optuna

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.tuning.promoting import PromotingRungs
from raytune_planes.tuning.samplers import quiet
from raytune_planes.tuning.search import Suggestion
from tests.benchmarks.apart import Apart
from tests.benchmarks.lcbench import DIMENSIONS, EPOCHS, FIRST, METRIC, REDUCTION, ours
from tests.oracle.simulator import Strategy


def distributions() -> dict[str, optuna.distributions.BaseDistribution]:
    real, whole = optuna.distributions.FloatDistribution, optuna.distributions.IntDistribution
    return {
        d.path: real(d.low, d.high, log=d.log) if d.kind == "float" else whole(int(d.low), int(d.high), log=d.log)
        for d in DIMENSIONS
    }


class RayTune:
    """``ASHAScheduler`` over Ray's ``OptunaSearch`` with its default sampler, or over random configurations."""

    def __init__(self, seed: int, *, model: bool) -> None:
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        sampler = None if model else optuna.samplers.RandomSampler(seed=seed)
        with quiet():
            self._search = OptunaSearch(
                distributions(), "accuracy", "max", sampler=sampler, seed=seed if model else None
            )
        self._asha = ASHAScheduler(
            "training_iteration", "accuracy", "max", max_t=EPOCHS, grace_period=FIRST, reduction_factor=REDUCTION
        )
        self._number = 0

    def ask(self) -> Suggestion:
        trial_id, number, self._number = f"t{self._number}", self._number, self._number + 1
        with quiet():
            drawn = self._search.suggest(trial_id)
        assert drawn is not None
        self._asha.on_trial_add(None, SimpleNamespace(trial_id=trial_id))
        return Suggestion(trial_id, number, dict(drawn))

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        result = _result(epoch)
        stop = self._asha.on_trial_result(None, SimpleNamespace(trial_id=trial.trial_id), result) == "STOP"
        if not stop:  # as TuneController does: the result that stops a trial is not passed on
            self._search.on_trial_result(trial.trial_id, result)
        return bool(stop)

    def tell(self, record: TrialRecord) -> None:
        result = _result(record.epochs[-1])
        self._asha.on_trial_complete(None, SimpleNamespace(trial_id=record.trial_id), result)
        with quiet():
            self._search.on_trial_complete(record.trial_id, result)


def _result(epoch: EpochRecord) -> dict[str, float]:
    return {"training_iteration": epoch.epoch, "accuracy": epoch.metrics[METRIC]}


@dataclass
class Optuna:
    """Optuna alone, with successive halving."""

    seed: int
    multivariate: bool = False
    _open: dict[str, optuna.Trial] = field(default_factory=dict)

    def __post_init__(self) -> None:
        with quiet():
            self._study = optuna.create_study(
                direction="maximize",
                sampler=optuna.samplers.TPESampler(seed=self.seed, multivariate=self.multivariate, constant_liar=True),
                pruner=optuna.pruners.SuccessiveHalvingPruner(FIRST, REDUCTION),
            )

    def ask(self) -> Suggestion:
        with quiet():
            trial = self._study.ask(distributions())
        self._open[str(trial.number)] = trial
        return Suggestion(str(trial.number), trial.number, dict(trial.params))

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        self._open[trial.trial_id].report(self.value(epoch), epoch.epoch)
        return not final and self._open[trial.trial_id].should_prune()

    def tell(self, record: TrialRecord) -> None:
        trial, pruned = self._open.pop(record.trial_id), record.end is End.PRUNED
        with quiet():
            if pruned:
                self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                self._study.tell(trial, self.result(record))

    def value(self, epoch: EpochRecord) -> float:
        """What the pruner compares."""
        return epoch.metrics[METRIC]

    def result(self, record: TrialRecord) -> float:
        """Of a trial that was not pruned."""
        return self.value(record.epochs[-1])


ELSEWHERE: Mapping[str, Callable[[int], Strategy]] = {
    "Syne Tune MOBSTER": lambda seed: Apart(seed, "by_syne_tune.py", "MOBSTER"),
    "Syne Tune HyperTune": lambda seed: Apart(seed, "by_syne_tune.py", "HyperTune"),
    "SMAC3": lambda seed: Apart(seed, "by_smac.py"),
    "NePS Hyperband": lambda seed: Apart(seed, "by_neps.py", "hyperband"),
}
"""Those whose packages are installed when they are called; each raises Missing where that fails."""
METHODS: Mapping[str, Callable[[int], Strategy]] = {
    "random": lambda seed: ours(seed, sampler="random", rungs=False),
    "Ray random + ASHA": lambda seed: RayTune(seed, model=False),
    "Ray OptunaSearch + ASHA": lambda seed: RayTune(seed, model=True),
    "Optuna TPE + halving": Optuna,
    "Optuna multivariate TPE + halving": lambda seed: Optuna(seed, multivariate=True),
    **ELSEWHERE,
    "ours, first rung 5": lambda seed: ours(seed, grace=FIRST),
    "ours, first rung 5, pausing": lambda seed: ours(seed, grace=FIRST, kind=PromotingRungs),
    "ours, pausing": lambda seed: ours(seed, kind=PromotingRungs),
    "ours": ours,
}
"""By name; the last runs with the product's defaults, and the others are compared with it."""
