"""An invented fleet: variants in families of manufacturers, where those of a family differ in small things."""

from __future__ import annotations

import colorsys
from dataclasses import replace
from itertools import count

import numpy as np

from raytune_planes.datasets.aircraft import Color, Shape
from raytune_planes.datasets.fgvc import Variant

MANUFACTURERS = ("Aldane", "Borealis", "Corvane", "Dunmore", "Estrel", "Farrow", "Gannet", "Halvor", "Isolde", "Juno")
FAMILY_SIZES = (2, 3, 1, 4)
FAMILIES_EACH = (3, 2, 4)


def fleet(classes: int) -> list[tuple[Variant, Shape]]:
    """``classes`` variants with their shapes; the same for every seed, and the first ones the same for every count.

    Names hold blanks and the second a slash, as in the original, so that nobody uses one as a path.
    """
    variants: list[tuple[Variant, Shape]] = []
    for number in count():
        family_of, manufacturer = _maker(number)
        random = np.random.default_rng([2013, number])
        base = _family_shape(random, hue=number * 0.618 % 1)  # the golden ratio keeps neighbours apart
        family = f"{manufacturer} {family_of}"
        for place in range(FAMILY_SIZES[number % len(FAMILY_SIZES)]):
            if len(variants) == classes:
                return variants
            name = f"{family}A/B" if len(variants) == 1 else f"{family}-{(place + 1) * 100}"
            variants.append((Variant(name, family, manufacturer), _variant_shape(base, place, random)))
    raise AssertionError("count() does not end")


def _maker(number: int) -> tuple[str, str]:
    """The name of family ``number`` and its manufacturer."""
    maker, left = 0, number
    while left >= FAMILIES_EACH[maker % len(FAMILIES_EACH)]:
        left -= FAMILIES_EACH[maker % len(FAMILIES_EACH)]
        maker += 1
    again = maker // len(MANUFACTURERS)
    name = MANUFACTURERS[maker % len(MANUFACTURERS)] + (f" {'I' * again}" if again else "")
    return f"{'ABCEFKLTX'[number % 9]}{(number * 7 % 90) + 10}", name


def _family_shape(random: np.random.Generator, hue: float) -> Shape:
    kind = int(random.integers(4))
    rear = kind == 3
    return Shape(
        length=random.uniform(0.9, 1.05),
        width=random.uniform(0.085, 0.125),
        span=random.uniform(0.78, 1.02),
        chord=random.uniform(0.17, 0.24),
        taper=random.uniform(0.22, 0.5),
        sweep=random.uniform(8, 36),
        wing_at=random.uniform(0.33, 0.42) + (0.06 if rear else 0.0),
        engines=0 if rear else 4 if kind == 2 else 2,
        rear_engines=rear,
        engine=random.uniform(0.042, 0.06),
        tail_span=random.uniform(0.3, 0.42),
        tail=color(hue),
    )


def _variant_shape(base: Shape, place: int, random: np.random.Generator) -> Shape:
    """Later variants of a family are stretched, and differ in engines, sweep and the shade of the tail."""
    if place == 0:
        return base
    red, green, blue = (round(value * (1.0, 0.55, 1.25, 0.8)[place]) for value in base.tail)
    changed = replace(
        base,
        length=base.length * (1 + 0.08 * place),
        engine=base.engine * float(random.choice([0.75, 1.3])),
        sweep=base.sweep + float(random.choice([-6.0, 6.0])),
        tail=(min(255, red), min(255, green), min(255, blue)),
    )
    if place == 2:
        return replace(changed, span=base.span * 1.08)
    if place == 3:
        return replace(changed, engines={0: 2, 2: 4, 4: 2}[base.engines])
    return changed


def color(hue: float) -> Color:
    """A livery's colour of the given hue in [0, 1]."""
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.78)
    return round(red * 255), round(green * 255), round(blue * 255)
