"""What a study may vary: dimensions, the space they span, and how one configuration is drawn from it."""

from __future__ import annotations

import hashlib
import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol

from pydantic import Field

from raytune_planes.records import Goal
from raytune_planes.section import Positive, Section
from raytune_planes.settings import Value, overlaid, value_of

SAMPLERS = ("tpe", "random", "nsga2", "gp")
"""How the next configuration may be chosen (``tuning/samplers.py`` builds them)."""

MANY = 64
"""Ranges of more whole numbers than this are checked at their ends only."""


class RungSettings(Section):
    """When trials that fall behind are stopped: asynchronous successive halving over samples seen."""

    enabled: bool = True
    rule: Literal["stop", "promote"] = "stop"
    """``stop``: a trial that falls behind at a rung ends there. ``promote``: each trial pauses at a rung, its process
    takes another, and it continues once it is among the best that stood there. Not for trials that train on folds."""
    grace: Annotated[float, Field(gt=0, le=1)] = 0.25
    """The first rung, as a share of the samples of a trial with this space's own budget. A rung is met at the end of
    the epoch nearest to it."""
    reduction: Annotated[int, Field(ge=2, le=16)] = 3
    """Each rung lies this many times higher than the one below, and one in this many trials passes it."""
    floors: Literal["reach", "strict", "ignore"] = "reach"
    """How floors count at a rung (``tuning/rungs.py``)."""

    @property
    def promotes(self) -> bool:
        """Whether trials pause at rungs and may continue later."""
        return self.enabled and self.rule == "promote"


class StudySettings(Section):
    """How a study of this space runs unless the command line says otherwise. It ends by whichever limit comes first."""

    trials: Annotated[int, Field(ge=1, le=100_000)] = 20
    hours: Positive | None = None
    """Wall-clock time over all runs of the study. No trial starts and none continues once only the time is left that
    the final training is expected to take."""
    samples: Annotated[int, Field(ge=1)] | None = None
    """Training images over all trials."""
    patience: Annotated[int, Field(ge=1)] | None = None
    """Ended trials without a better best."""
    stall_minutes: Positive | None = 360.0
    """A trial that reports no epoch for this long hangs: it is ended as failed. None for never."""
    free_gib: Annotated[float, Field(ge=0)] = 0.25
    """No trial starts while less is free on the disk of the results: running trials continue."""
    keep: Annotated[int, Field(ge=1, le=100_000)] = 3
    """The weights (``best.pt``) of so many of the best trials are kept. Those of the defaults, of the whole Pareto
    front where there are several objectives, and of trials that can continue are kept as well; the others are removed
    when trials end, and their records stay."""
    fork: bool = True
    """Leading stages of a plan that all trials have in common are trained once, and the others begin after them."""
    final: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Epochs with which the best trial and the defaults are trained again when the search has ended, with as many steps
    an epoch as in the trials; what holds there is handed over as the study's model. 0 for no final training."""
    sampler: Literal["tpe", "random", "nsga2", "gp"] = "tpe"
    rungs: RungSettings = RungSettings()


class Draw(Protocol):
    """Where values come from: an Optuna trial, a random generator, or a given configuration."""

    def real(self, path: str, low: float, high: float, log: bool, step: float | None) -> float: ...

    def whole(self, path: str, low: int, high: int, log: bool, step: int) -> int: ...

    def choice(self, path: str, options: tuple[Value, ...]) -> Value: ...


@dataclass(frozen=True)
class Dimension:
    """One setting that the search varies. Both ends of a range are included."""

    path: str
    kind: Literal["float", "int", "choice"]
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None
    choices: tuple[Value, ...] = ()
    when: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    """The dimension is drawn only where each of these was drawn and has one of its values."""

    def draw(self, draw: Draw) -> Value:
        if self.kind == "float":
            return draw.real(self.path, self.low, self.high, self.log, self.step)
        if self.kind == "int":
            return draw.whole(self.path, int(self.low), int(self.high), self.log, int(self.step or 1))
        return draw.choice(self.path, self.choices)

    def is_drawn(self, drawn: Mapping[str, Value]) -> bool:
        return all(path in drawn and holds(allowed, drawn[path]) for path, allowed in self.when.items())

    def contains(self, value: Value) -> bool:
        """Whether the search could draw ``value``."""
        if self.kind == "choice":
            return holds(self.choices, value)
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return False
        if self.kind == "int" and value != int(value):
            return False
        steps = (value - self.low) / self.step if self.step else 0.0
        return abs(steps - round(steps)) < 1e-9

    def values(self) -> tuple[Value, ...]:
        """Every value of a choice or of a short range of whole numbers; the two ends of any other range."""
        if self.kind == "choice":
            return self.choices
        if self.kind == "float":
            return (self.low, self.high)
        whole = range(int(self.low), int(self.high) + 1, int(self.step or 1))
        return tuple(whole) if len(whole) <= MANY else (whole[0], whole[-1])

    def text(self) -> str:
        """The range as text: ``0.1 .. 2 (log)``, ``256 | 512``."""
        if self.kind == "choice":
            return " | ".join(show(c) for c in self.choices)
        step = f", step {self.step:g}" if self.step else ""
        return f"{self.low:g} .. {self.high:g}{' (log)' if self.log else ''}{step}"


@dataclass(frozen=True)
class Space:
    """One question to the search: what may vary, what is fixed, and what counts as better."""

    name: str
    about: str
    goal: Goal
    fixed: Mapping[str, Value]
    """Settings that are the same in every trial, over the defaults."""
    search: tuple[Dimension, ...]
    """A dimension stands after those that its ``when`` names."""
    study: StudySettings = field(default_factory=StudySettings)
    start: Mapping[str, Value] = field(default_factory=dict)
    """Values of searched settings that the first trial takes instead of the defaults (``--config FILE``)."""

    @property
    def digest(self) -> str:
        """SHA-256 of what gives a trial its meaning: goal, fixed settings and dimensions; not of limits or wording."""
        given = {**self.goal.floors, **{key: str(floor) for key, floor in self.goal.relative.items()}}
        goal = [[(o.metric, o.mode) for o in self.goal.objectives], sorted(given.items())]
        dimensions = sorted(
            [d.path, d.kind, d.low, d.high, d.log, d.step, d.choices, sorted(d.when.items())] for d in self.search
        )
        content = json.dumps([goal, sorted(self.fixed.items()), dimensions], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def dimension(self, path: str) -> Dimension | None:
        return next((d for d in self.search if d.path == path), None)

    def first(self) -> dict[str, Value]:
        """What trial 0 takes: the defaults, also where they lie outside the range that is searched."""
        return suggest(self, Given(overlaid(self.fixed, self.start)))


def suggest(space: Space, draw: Draw) -> dict[str, Value]:
    """One value for every dimension whose condition holds, by path."""
    drawn: dict[str, Value] = {}
    for dimension in space.search:
        if dimension.is_drawn(drawn):
            drawn[dimension.path] = dimension.draw(draw)
    return drawn


class Given:
    """A ``Draw`` that takes every value from a configuration, in range or not."""

    def __init__(self, flat: Mapping[str, Value]) -> None:
        self.flat = flat

    def real(self, path: str, low: float, high: float, log: bool, step: float | None) -> float:
        return value_of(self.flat, path)

    def whole(self, path: str, low: int, high: int, log: bool, step: int) -> int:
        return value_of(self.flat, path)

    def choice(self, path: str, options: tuple[Value, ...]) -> Value:
        return value_of(self.flat, path)


class AtRandom:
    """A ``Draw`` of independent values, each equally likely over its range (its logarithm, where ``log``)."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def real(self, path: str, low: float, high: float, log: bool, step: float | None) -> float:
        if step:
            return min(high, low + step * self.random.randint(0, round((high - low) / step)))
        value = math.exp(self.random.uniform(math.log(low), math.log(high))) if log else self.random.uniform(low, high)
        return min(high, max(low, value))

    def whole(self, path: str, low: int, high: int, log: bool, step: int) -> int:
        if log:
            value = math.exp(self.random.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(high, max(low, round(value)))
        return self.random.randrange(low, high + 1, step)

    def choice(self, path: str, options: tuple[Value, ...]) -> Value:
        return self.random.choice(options)


def holds(options: tuple[Value, ...], value: Value) -> bool:
    """Membership that tells ``True`` from 1, as the settings do; 1 and 1.0 are the same."""
    return any(value == o and isinstance(value, bool) == isinstance(o, bool) for o in options)


def show(value: Value) -> str:
    """A value as YAML writes it: ``true``, ``null``, ``0.3``."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)
