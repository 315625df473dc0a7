"""What earlier studies are worth on LCBench's surrogate: searches that begin with what they found, and cold ones."""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from raytune_planes.learning import Earlier, Present, learn
from raytune_planes.space import Space
from raytune_planes.space.dimension import AtRandom, suggest
from raytune_planes.tracking import DataDescription
from raytune_planes.tracking.learnt import NOTHING, Learnt
from raytune_planes.tuning.rungs import Rungs
from raytune_planes.tuning.search import Search
from tests.benchmarks.lcbench import (
    DIMENSIONS,
    EPOCHS,
    GOAL,
    WORKERS,
    Run,
    Surrogate,
    course,
    full_training,
    opened,
    run,
)
from tests.benchmarks.tables import Table
from tests.oracle.simulator import Ours, simulate

PAST = (
    *("126025", "126026", "146212", "167083", "167152", "167161", "167181", "167184", "167185", "167190", "167201"),
    *("168329", "168330", "168868", "168908", "168910", "189354", "189865", "189866", "189873", "189908", "189909"),
    "7593",
)
"""Tasks of the earlier studies: none of those that ``lcbench`` reports or chose its options on."""
TASKS = ("34539", "126029", "167149", "167168", "167200", "168335", "189862", "189905")
"""Reported, and not looked at before: how a portfolio is chosen was decided on tasks of ``PAST`` and on 3945, 167104,
168331 and 189906."""
TRAININGS, SEEDS, PAST_SEED = 20, 3, 1000
"""Budget of each study in full trainings: some 50 trials."""
FIRST_RUNG, REDUCTION = 5, 3


@dataclass(frozen=True)
class Case:
    """How many earlier studies there are, and whether their results are those of their configurations."""

    studies: int = 0
    shuffled: bool = False
    other_space: bool = False
    """The earlier studies varied five of the settings under other names."""


CASES: Mapping[str, Case] = {
    "cold": Case(),
    "8 earlier studies": Case(8),
    "4 earlier studies": Case(4),
    "8, results shuffled": Case(8, shuffled=True),
    "8 over another space": Case(8, other_space=True),
}


class Past:
    """Earlier studies of other tasks, made when they are asked for."""

    def __init__(self, surrogate: Surrogate) -> None:
        self._surrogate, self._made = surrogate, dict[str, Earlier]()

    def studies(self, case: Case, task: str, seed: int) -> list[Earlier]:
        chosen = random.Random(f"{task} {seed}").sample(PAST, case.studies)
        return [self._changed(self._study(name), case, seed) for name in chosen]

    def _study(self, task: str) -> Earlier:
        if task not in self._made:
            seconds = TRAININGS * full_training(self._surrogate, task)
            trials = {}
            for moment in simulate(_begun(PAST_SEED), course(self._surrogate, task), workers=WORKERS, seconds=seconds):
                trials[moment.trial.number] = moment.trial
            self._made[task] = Earlier(task, task, tuple(trials.values()), _data(task))
        return self._made[task]

    @staticmethod
    def _changed(study: Earlier, case: Case, seed: int) -> Earlier:
        drawn = [dict(trial.drawn) for trial in study.trials]
        if case.shuffled:
            random.Random(f"{study.name} {seed}").shuffle(drawn)
        if case.other_space:
            kept = [d.path for d in DIMENSIONS[:2]]
            drawn = [{(k if k in kept else f"other.{k}"): v for k, v in values.items()} for values in drawn]
        return replace(study, trials=tuple(replace(t, drawn=d) for t, d in zip(study.trials, drawn, strict=True)))


def measure(quick: bool) -> Table:
    """Raises Missing when the surrogate or onnxruntime is not here."""
    surrogate = opened()
    past, runs, learning = Past(surrogate), dict[str, list[Run]](), dict[str, int]()
    for seed in range(1 if quick else SEEDS):
        for task in TASKS[:2] if quick else TASKS:
            print(f"transfer: seed {seed}, task {task}", file=sys.stderr, flush=True)
            seconds = TRAININGS * full_training(surrogate, task)
            drawn = run(surrogate, task, Ours(Search(_space(seed), sampler="random", seed=seed)), seconds)
            runs.setdefault("random", []).append(drawn)
            for name, case in CASES.items():
                learnt = _learnt(past.studies(case, task, seed), seed)
                learning[name] = learning.get(name, 0) + bool(learnt.portfolio)
                cold = runs.get("cold", [])
                is_cold = name != "cold" and not learnt.portfolio  # it draws the same, bit for bit
                done = cold[-1] if is_cold else run(surrogate, task, _begun(seed, learnt), seconds)
                runs.setdefault(name, []).append(done)
    return tabulate(runs, learning)


def tabulate(runs: Mapping[str, Sequence[Run]], learning: Mapping[str, int]) -> Table:
    """A row a case, over all tasks and seeds. ``learning``: in how many runs anything was learnt."""
    targets = [r.final for r in runs["random"]]

    def time(name: str) -> float:
        return statistics.geometric_mean(
            max(1e-3, r.time_to(target)) for r, target in zip(runs[name], targets, strict=True)
        )

    figures = {
        name: {"time": time(name), "of cold": time(name) / time("cold"), "learnt": learning.get(name, 0),
               "final": 100 * statistics.fmean(r.final for r in runs[name])}
        for name in ("random", *CASES)
    }  # fmt: skip
    rows = [
        (name, f"{f['time']:.3f}", f"{f['of cold']:.2f}", f"{f['final']:.2f}", f"{f['learnt']} of {len(targets)}")
        for name, f in figures.items()
    ]
    notes = (
        f"{len(targets)} runs (task and seed), {WORKERS} simulated workers, budget {TRAININGS} full trainings",
        "time: simulated time to the final value of random search, as a share of the budget; geometric mean.",
        "final: mean best accuracy in %. learnt: runs in which the earlier studies were used.",
    )
    return Table("Earlier studies", ("case", "time", "of cold", "final", "learnt"), rows, figures, notes)


def _learnt(earlier: Sequence[Earlier], seed: int) -> Learnt:
    if not earlier:
        return NOTHING
    present = Present(_space(seed), _data("new"), {}, trials=10_000)
    return learn(present, earlier)[0]


def _begun(seed: int, learnt: Learnt = NOTHING) -> Ours:
    rungs = Rungs(GOAL, FIRST_RUNG, REDUCTION, budget=EPOCHS, spared=learnt.numbers)
    return Ours(Search(_space(seed), seed=seed, learnt=learnt), rungs)


def _space(seed: int) -> Space:
    """LCBench has no defaults to begin with: the first trial is drawn."""
    space = Space("lcbench", "", GOAL, {}, DIMENSIONS)
    return replace(space, start=suggest(space, AtRandom(seed)))


def _data(task: str) -> Mapping[str, DataDescription]:
    return {"lcbench": DataDescription(task, {"train": 1})}
