"""Whether the configurations that a space can draw are valid: each value under its condition, then all together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, cycle, islice, product

from raytune_planes.settings import Value
from raytune_planes.space.dimension import AtRandom, Dimension, Draw, Given, Space, holds, show, suggest

WAYS = 32
"""Most combinations of values that meet a condition, of those that are tried."""
DRAWS = 200
"""Random configurations that must be valid, and the size up to which a space is tried whole."""
TRIES = 24
"""Random configurations around a value that trial 0's others refuse."""

Invalid = Callable[[Mapping[str, Value]], str]
"""Why the settings refuse these values over those of trial 0, or ``""``."""


def refused(dimension: Dimension, space: Space, invalid: Invalid) -> str:
    """Which values of a dimension are invalid wherever the space draws them, or ``""``.

    A value is tried where its condition holds and all else is as in trial 0, then with random values of the other
    dimensions: trial 0 may have a value there that is never drawn.
    """
    ways = list(islice(_ways(dimension, space), WAYS))
    if not ways:
        return f"search: {dimension.path}: when: its conditions never hold together, so it would never be drawn"
    reasons: dict[str, str] = {}
    for value in dimension.values():
        tried = [{**way, dimension.path: value} for way in ways]
        why = [invalid(values) for values in tried]
        around = (suggest(space, Forced(values, seed)) for seed, values in enumerate(islice(cycle(tried), TRIES)))
        if all(why) and all(map(invalid, around)):
            reasons[show(value)] = why[0]
    if not reasons:
        return ""
    named = ", ".join(list(reasons)[:6]) + (", ..." if len(reasons) > 6 else "")
    return f"search: {dimension.path}: {named} would be refused ({next(iter(reasons.values()))})"


def drawable(space: Space) -> Iterator[dict[str, Value]]:
    """Configurations that the space can draw: of a small space all, of another random ones with every value at least
    once. Rules between two settings show only there."""
    every = list(islice(_every(space.search, {}), DRAWS + 1))
    return chain(every if len(every) <= DRAWS else [], _sampled(space))


class Forced:
    """A ``Draw`` that takes some values as given, and the others at random."""

    def __init__(self, values: Mapping[str, Value], seed: int) -> None:
        self._values, self._given, self._random = values, Given(values), AtRandom(seed)

    def real(self, path: str, low: float, high: float, log: bool, step: float | None) -> float:
        return self._of(path).real(path, low, high, log, step)

    def whole(self, path: str, low: int, high: int, log: bool, step: int) -> int:
        return self._of(path).whole(path, low, high, log, step)

    def choice(self, path: str, options: tuple[Value, ...]) -> Value:
        return self._of(path).choice(path, options)

    def _of(self, path: str) -> Draw:
        return self._given if path in self._values else self._random


def _ways(dimension: Dimension, space: Space) -> Iterator[dict[str, Value]]:
    """Every combination of values, of those it depends on and of those that they depend on, that has it drawn."""
    parents = [parent for path in dimension.when if (parent := space.dimension(path)) is not None]
    for values in product(*(dimension.when[parent.path] for parent in parents)):
        chosen = dict(zip((parent.path for parent in parents), values, strict=True))
        for above in product(*(_ways(parent, space) for parent in parents)):
            way = dict(chosen)
            if all(holds((way.setdefault(path, value),), value) for one in above for path, value in one.items()):
                yield way


def _every(search: tuple[Dimension, ...], drawn: dict[str, Value]) -> Iterator[dict[str, Value]]:
    """Every configuration of the values that each dimension is known by: of a range of real numbers its two ends."""
    if not search:
        yield drawn
    elif not search[0].is_drawn(drawn):
        yield from _every(search[1:], drawn)
    else:
        for value in search[0].values():
            yield from _every(search[1:], {**drawn, search[0].path: value})


def _sampled(space: Space) -> Iterator[dict[str, Value]]:
    draw = AtRandom(seed=0)
    yield from (suggest(space, draw) for _ in range(DRAWS))
    for dimension in space.search:
        for way in islice(_ways(dimension, space), WAYS):
            for seed, value in enumerate(dimension.values()):
                yield suggest(space, Forced({**way, dimension.path: value}, seed))
