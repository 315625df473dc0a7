"""Which dataset's head answers a picture: the one that is asked for, or the only one that learnt such a size."""

from __future__ import annotations

from collections.abc import Mapping

from raytune_planes.errors import UserError
from raytune_planes.serving.learnt import Learnt


def by_size(learnt: Mapping[str, Learnt], width: int, height: int, place: str = "") -> tuple[str, str]:
    """The dataset's name, and the reason as a message. ``place`` begins the message of a refusal.

    Raises:
        UserError: the size fits none, or several: what is in a picture cannot tell, since every head finds something.
    """
    if len(learnt) == 1:
        return next(iter(learnt)), "the only dataset of the model"
    fits = [name for name, each in learnt.items() if each.sizes and each.sizes.hold(width, height)]
    if len(fits) == 1:
        return fits[0], f"by size: it learnt pictures of {learnt[fits[0]].sizes}"
    fit = f"fits {' and '.join(fits)}" if fits else "is like those of no dataset that the model learnt"
    choices = "; ".join(f"--dataset {name} ({each})" for name, each in learnt.items())
    raise UserError(f"{place}a picture of {width}×{height} px {fit}, so say whose head is to answer: {choices}")
