"""How many steps a trial trains, and which dataset each of them draws from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from raytune_planes.section import Section


class Budget(Section):
    """How long a trial trains. Samples seen = epochs x steps_per_epoch x batch_size."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 12
    """Rounds of training and validation; fewer if every dataset rests."""
    steps_per_epoch: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    """Batches between two validations, over all datasets together."""
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 32
    """Images of a step, over all workers together; each step draws from one dataset."""
    scene_epochs: Annotated[int, Field(ge=0)] = 6
    """Epochs between two evaluations of whole validation scenes, where a dataset has some (``scene_iou``,
    ``scene_ap50``, ``scene_map``, ``count_error``); also after the budget's last epoch. 0 for none. A goal that names
    one of these metrics has it measured after every epoch; the test split is always evaluated on whole scenes."""

    @property
    def samples(self) -> int:
        """Training images of all epochs."""
        return self.epochs * self.steps_per_epoch * self.batch_size


class Mixing(Section):
    """Which dataset trains at which step."""

    rule: Literal["share", "temperature", "gain"] = "share"
    """``share``: by each dataset's ``share``. ``temperature``: by n^(1/T) of its n training images in use.
    ``gain``: more steps for those whose validation improves most per step (Albalak et al. 2023)."""
    temperature: Annotated[float, Field(ge=1, le=100)] = 2.0
    """T of ``temperature``: 1 follows the sizes, large values approach equal shares."""
    explore: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Part of the steps that ``gain`` hands out evenly whatever it has seen."""
