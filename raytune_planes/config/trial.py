"""The root of the tree of settings: one trial, and which settings go together."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from raytune_planes.catalog import CATALOG
from raytune_planes.config.dataset import Dataset
from raytune_planes.config.devices import Devices
from raytune_planes.config.geometry import check_geometry
from raytune_planes.config.local_path import LocalPath
from raytune_planes.config.losses import Balancing, Losses
from raytune_planes.config.model import Model, Text
from raytune_planes.config.optim import Optim
from raytune_planes.config.split import Split
from raytune_planes.config.stages import check_stages, stage_trees
from raytune_planes.config.steps import Budget, Mixing
from raytune_planes.config.stopping import Stopping
from raytune_planes.encoders import encoder
from raytune_planes.errors import did_you_mean
from raytune_planes.section import Section
from raytune_planes.tasks import TASKS

FREEZABLE = tuple(dict.fromkeys(["backbone", "dit", *(task.frozen_name for task in TASKS.values())]))
"""Parts of the model that ``freeze`` may name."""


class TrialConfig(Section):
    """The whole of a trial. The same tree, seed and processor give the same metrics."""

    datasets: dict[str, Dataset] = Field(default_factory=dict)
    """By name: those of the catalog, and any other that says which ``reader`` reads it."""
    losses: Losses = Losses()
    balancing: Balancing = Balancing()
    mixing: Mixing = Mixing()
    stopping: Stopping = Stopping()
    model: Model = Model()
    text: Text = Text()
    optim: Optim = Optim()
    budget: Budget = Budget()
    split: Split = Split()
    devices: Devices = Devices()
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the forward pass; ``auto`` is bfloat16 on GPUs that have it unless ``devices.exact``, and float32
    elsewhere."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Of weights, order, augmentation and dropout; never of the splits."""
    start: LocalPath = ""
    """Checkpoint (``best.pt`` or ``last.pt``) that training begins with: it gives every weight whose name and shape it
    has in common with the model, the others are drawn. Empty to draw all."""
    freeze: str = ""
    """Parts that do not learn, with commas between: ``backbone``, ``dit``, ``projection``, ``decoder``, ``heads``."""
    plan: str = ""
    """Stages that follow each other in one training, by name, with commas between (``pretrain, together, fgvc``). Each
    begins with the weights that the one before ended with, where name and shape are equal. Empty for a single one."""
    stages: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """``stages.<name>.<setting>``: what a stage of the plan has otherwise than the rest of the tree says, such as
    ``stages.pretrain.budget.epochs``. A dataset with ``share`` 0 there is validated and not trained."""

    @model_validator(mode="after")
    def _names_are_plain(self) -> TrialConfig:
        for name in self.datasets:  # they name metrics, files of figures and tags of MLflow
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
                raise ValueError(
                    f"datasets: {name!r} is not a valid dataset name; use up to 64 letters, digits, - and _"
                )
        return self

    @model_validator(mode="after")
    def _model_fits(self) -> TrialConfig:
        channels = 4 * self.model.backbone.width
        if channels % self.model.dit.heads:
            raise ValueError(
                f"model.dit.heads = {self.model.dit.heads} does not divide the grid's {channels} channels "
                f"(4 x model.backbone.width); choose heads that do"
            )
        weights = self.model.backbone.weights
        if (weights != "random" or self.model.backbone.freeze) and not encoder(self.model.backbone.kind).takes_weights:
            what = "model.backbone.freeze" if weights == "random" else f"model.backbone.weights = '{weights}'"
            raise ValueError(
                f"{what} is for networks with pretrained weights, which '{self.model.backbone.kind}' has not; leave it "
                f"out, or choose another backbone kind"
            )
        return self

    @model_validator(mode="after")
    def _arithmetic_fits(self) -> TrialConfig:
        if self.devices.exact and self.precision == "bfloat16":
            raise ValueError("devices.exact computes in float32, and precision = bfloat16 does not; set one of them")
        if self.devices.exact and self.devices.decode == "cuda":
            raise ValueError("devices.exact decodes as a CPU does, and devices.decode = cuda does not; set one of them")
        return self

    @model_validator(mode="after")
    def _training_fits(self) -> TrialConfig:
        if self.balancing.rule == "famo" and self.optim.accumulate > 1:
            raise ValueError(
                f"balancing.rule = famo needs the loss after every update of the weights, so "
                f"optim.accumulate = {self.optim.accumulate} is not supported; set it to 1 or choose another rule"
            )
        if self.balancing.surgery != "none" and self.optim.accumulate == 1:
            raise ValueError(
                f"balancing.surgery = {self.balancing.surgery} compares gradients of several datasets, and a move of "
                "the weights takes one batch (optim.accumulate = 1); set optim.accumulate to 2 or more"
            )
        if self.split.fold >= self.split.folds:
            raise ValueError(
                f"split.fold = {self.split.fold}: the {self.split.folds} folds (split.folds) count from 0 to "
                f"{self.split.folds - 1}"
            )
        return self

    @model_validator(mode="after")
    def _frozen_parts_exist(self) -> TrialConfig:
        for part in self.frozen:
            if part not in FREEZABLE:
                near = did_you_mean(part, FREEZABLE)
                raise ValueError(f"freeze: no part '{part}'{near} (there are: {', '.join(FREEZABLE)})")
        sharing = self.model.sharing
        if sharing == "own" and (self.model.backbone.freeze or "backbone" in self.frozen):
            part = "model.backbone.freeze" if self.model.backbone.freeze else f"freeze = '{self.freeze}'"
            raise ValueError(
                f"{part} keeps the backbone that all datasets share, and with model.sharing = own they share none; "
                f"choose adapters or stage, or let the backbones learn"
            )
        if set(self.frozen) == set(FREEZABLE) and sharing == "trunk":
            raise ValueError(f"freeze = {self.freeze} leaves nothing to train; take out at least one part")
        return self

    @model_validator(mode="after")
    def _datasets_fit(self) -> TrialConfig:
        for name, dataset in self.datasets.items():
            check_geometry(name, dataset)
            if dataset.link_roots and not dataset.follow_links:
                raise ValueError(
                    f"datasets.{name}.link_roots names folders, but links are not followed; set "
                    f"datasets.{name}.follow_links=true as well, or leave it out"
                )
        if not any(d.enabled for d in self.datasets.values()):
            raise ValueError("no dataset is enabled; set datasets.<name>.enabled to true for at least one")
        if not any(d.enabled and d.share > 0 for d in self.datasets.values()):
            raise ValueError("every enabled dataset has share 0; set datasets.<name>.share above 0 for at least one")
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> TrialConfig:
        check_stages(self.plan, self.stages)
        if self.plan:
            _ = self.staged  # raises where a stage's own tree is refused
        return self

    @property
    def staged(self) -> tuple[tuple[str, TrialConfig], ...]:
        """Name and whole configuration of each stage, in order; one without a name where there is no plan."""
        return tuple((name, _of_stage(name, tree)) for name, tree in stage_trees(self.model_dump())) or (("", self),)

    @property
    def samples(self) -> int:
        """Training images of one training, over all its stages."""
        return sum(stage.budget.samples for _, stage in self.staged)

    @property
    def active(self) -> dict[str, Dataset]:
        """The enabled datasets, in the catalog's order."""
        order = [*CATALOG, *self.datasets]
        return {name: d for name, d in sorted(self.datasets.items(), key=lambda i: order.index(i[0])) if d.enabled}

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that ``freeze`` names."""
        return tuple(part for each in self.freeze.split(",") if (part := each.strip()))


def _of_stage(name: str, tree: dict[str, Any]) -> TrialConfig:
    try:
        return TrialConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(["stages", name, *map(str, first["loc"])])
        raise ValueError(f"{path}: {str(first['msg']).removeprefix('Value error, ')}") from None
