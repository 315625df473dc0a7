"""Learning curves in closed form, declared synthetic: three datasets that share a trunk and stand in each other's way.

Each dataset has a skill x that its own steps raise and the steps of the others wear down, because the trunk is shared
and the head moves out of step with it. Over an epoch with n own steps and m foreign ones

    dx = rate * n - forgetting * m * x     (per epoch, solved exactly)
    value = chance + (ceiling - chance) * (1 - exp(-x))

and validation shows that value with noise (``test/...`` metrics are the value itself). With a constant share the skill
settles at rate * n / (forgetting * m), the plateau that the stopping rules wait for; a dataset at rest sinks from there
towards the plateau of its trickle. The numbers resemble the three real datasets: PlanesNet starts at the share of its
majority class and is learnt within a few epochs, the twenty aircraft types an order of magnitude more slowly; noise is
that of a validation split of a few thousand images, and of fewer for the other two.

Everything that decides is the package's own: an epoch here does what ``training.loop.run_epoch`` does.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from raytune_planes.catalog import primary_metric
from raytune_planes.config import TrialConfig
from raytune_planes.records import End, EpochRecord, metric
from raytune_planes.training.evidence_stopping import make_stopping
from raytune_planes.training.mixing import Mixer


@dataclass(frozen=True)
class Nature:
    """How one dataset learns at the best learning rate."""

    chance: float
    ceiling: float
    """With one hidden layer in its head."""
    steps: float
    """Own steps that raise its skill by one: the time constant of its curve."""
    best_lr: float
    cost: float
    """Seconds per step."""
    noise: float
    """Standard deviation of its validation metric."""
    images: int
    """Of its training split."""

    @property
    def pictures(self) -> float:
        """Of its validation split: as many as give an accuracy at the ceiling that noise."""
        return self.ceiling * (1 - self.ceiling) / self.noise**2


NATURES: Mapping[str, Nature] = {
    "planesnet": Nature(chance=0.75, ceiling=0.985, steps=40, best_lr=3e-3, cost=0.02, noise=0.003, images=20_000),
    "hrplanes": Nature(chance=0.05, ceiling=0.70, steps=150, best_lr=1.5e-3, cost=0.10, noise=0.005, images=2_000),
    "fgvc": Nature(chance=0.05, ceiling=0.65, steps=700, best_lr=3e-3, cost=0.08, noise=0.008, images=6_000),
}
FORGETTING = 1 / 3000
"""Share of its skill that a dataset loses per step of another one, at the default learning rate and weights."""
USUAL_LR = 2e-3
DEPTH_RATE = (1.3, 1.0, 0.8, 0.65)
"""A head learns faster with fewer hidden layers ..."""
DEPTH_CEILING = (-0.06, 0.0, 0.03, 0.04)
"""... and gets further with more."""


class World:
    """One draw of the three natures; trials in the same world differ by their configuration and their noise."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng(seed)
        self.seed = seed
        self.rates = {d: math.exp(draw.normal(0, 0.2)) / n.steps for d, n in NATURES.items()}
        self.forgetting = {d: math.exp(draw.normal(0, 0.3)) * FORGETTING for d in NATURES}
        self.ceilings = {d: n.ceiling - abs(draw.normal(0, 0.01)) for d, n in NATURES.items()}

    def train(
        self, config: TrialConfig, number: int = 0, floors: Mapping[str, float] | None = None
    ) -> Iterator[tuple[EpochRecord, End | None]]:
        """The epochs of one trial, the last with how it ends; ``number`` seeds its noise, ``floors`` are the goal's."""
        noise = np.random.default_rng([self.seed, number])
        datasets = config.active
        primary = {d: metric("val", d, primary_metric(d)) for d in datasets}
        shares, sizes = {d: s.share for d, s in datasets.items()}, {d: NATURES[d].images for d in datasets}
        mixer = Mixer(config.mixing, config.stopping, shares, sizes)
        stopping = make_stopping(config, primary, mixer.shares)
        rates, wear, ceilings = self._learns(config)
        skills, step = dict.fromkeys(datasets, 0.0), 0
        for epoch in range(1, config.budget.epochs + 1):
            order = Counter(mixer.epoch(config.budget.steps_per_epoch, stopping.resting))
            step += order.total()
            values, truth = {}, {}
            for d in datasets:
                skills[d] = _after(skills[d], rates[d] * order[d], wear[d] * (order.total() - order[d]))
                clean = NATURES[d].chance + (ceilings[d] - NATURES[d].chance) * (1 - math.exp(-skills[d]))
                values[d] = min(1.0, max(0.0, clean + noise.normal(0, NATURES[d].noise)))
                truth[metric("test", d, primary_metric(d))] = clean
            pictures = {metric("val", d, "images"): NATURES[d].pictures for d in datasets}
            metrics = {primary[d]: value for d, value in values.items()} | pictures | truth
            decisions = stopping.update(epoch, metrics, floors)
            mixer.learn(values, order)
            seconds = sum(NATURES[d].cost * n for d, n in order.items())
            samples = step * config.budget.batch_size
            end = End.CONVERGED if stopping.all_rest else End.COMPLETED if epoch == config.budget.epochs else None
            yield EpochRecord(epoch, step, samples, metrics, stopping.resting, decisions, seconds), end
            if end is not None:
                return

    def _learns(self, config: TrialConfig) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        """What the settings make of each dataset: skill per own step, wear per foreign step, ceiling."""
        datasets, lr = config.active, config.optim.lr
        mean = sum(s.weight for s in datasets.values()) / len(datasets)
        pull = {d: math.sqrt(s.weight / mean) for d, s in datasets.items()}
        off = {d: math.log10(lr / NATURES[d].best_lr) for d in datasets}
        depth = {d: s.head.depth for d, s in datasets.items()}
        # Dropout suits the dataset with few pictures per class; its best is a quarter, and it slows all a little.
        spare = {d: 2 * (s.head.dropout - 0.25) ** 2 if d == "fgvc" else 0.0 for d, s in datasets.items()}
        rates = {d: self.rates[d] * pull[d] * math.exp(-3 * off[d] ** 2) * DEPTH_RATE[depth[d]] for d in datasets}
        wear = {d: self.forgetting[d] * math.sqrt(lr / USUAL_LR) / pull[d] for d in datasets}
        ceilings = {
            d: self.ceilings[d] + (DEPTH_CEILING[depth[d]] if d == "fgvc" else 0.0) - spare[d] for d in datasets
        }
        return rates, wear, ceilings


def _after(skill: float, gain: float, wear: float) -> float:
    """A skill after an epoch that adds ``gain`` evenly while the share ``wear`` of it decays: the exact solution."""
    if wear < 1e-12:
        return skill + gain
    kept = math.exp(-wear)
    return skill * kept + gain * (1 - kept) / wear
