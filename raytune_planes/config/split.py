"""Which pictures validate, and how many of the others train."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raytune_planes.section import Section


class Split(Section):
    """Which pictures validate, and how many of the others train. None of it changes the test split.

    All pictures of a group (a scene, copies) are in the same split.
    """

    kind: Literal["holdout", "group", "kfold"] = "holdout"
    """``holdout``: each dataset's own lists, else one in ten by group. The others pool training and validation pictures
    and part them anew, classes in proportion. ``group``: ``share`` of them validate. ``kfold``: one of ``folds``; each
    trial of a study trains on one fold after another, and its result is the mean over them."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Validation pictures of ``group``."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of ``kfold``. ``train --folds K`` trains them all and gives mean and spread."""
    fold: Annotated[int, Field(ge=0)] = 0
    """The part of ``kfold`` that validates in a single training, from 0."""
    use: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of the training pictures of each dataset that train: whole groups, classes in proportion. The pictures of a
    smaller share are among those of a larger one. Steps and validation pictures stay the same."""
    unique: bool = False
    """Leave out training pictures that are copies of a validation picture, or of another training picture of their
    class: identical, turned, mirrored or resized. ``data --clean`` finds more, on the files, and can be looked through
    before."""

    @property
    def trainings(self) -> int:
        """Of a trial of a study: one, or one for each fold."""
        return self.folds if self.kind == "kfold" else 1
