"""Every setting of a trial: its type, default, unit and range. The page to read first.

A setting's name is its dotted path (``datasets.fgvc.head.depth``), the same in search spaces, in ``--set``, in saved
files, in MLflow parameters and in error messages. ``settings.py`` builds and flattens the tree.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, create_model, model_validator

from raytune_planes.catalog import CATALOG
from raytune_planes.encoders import OWN, known
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.paths import local
from raytune_planes.records import stage_names
from raytune_planes.section import Count, Fraction, NotNegative, Positive, Section
from raytune_planes.tasks import TASKS


def _local(text: str) -> str:
    try:
        local(text)
    except UserError as error:
        raise ValueError(str(error)) from None
    return text


def _all_local(text: str) -> str:
    for part in text.split(","):
        _local(part.strip())
    return text


Place = Annotated[str, AfterValidator(_local)]
"""A file or folder of this machine, or a word that stands for one."""

FREEZABLE = tuple(dict.fromkeys(["backbone", "dit", *(task.frozen_name for task in TASKS.values())]))
"""Parts of the model that ``freeze`` may name."""
KEPT = ("plan", "stages", "split", "devices")
"""What no stage may change: its pictures must stay on their side of the split, its process where it is."""
KEPT_OF_DATASETS = ("reader", "root", "clean", "classes", "values", "follow_links", "link_roots")


class Policy(Section):
    """Operations that each image draws from a list, as published for photographs: turns, shears, shifts and colours."""

    kind: Literal["none", "randaugment", "autoaugment"] = "none"
    """``randaugment``: ``number`` of 14 operations at one ``magnitude`` (Cubuk et al. 2020).
    ``autoaugment``: one of the 25 pairs that were found on ImageNet, which has no strength (Cubuk et al. 2019)."""
    number: Annotated[int, Field(ge=1, le=4)] = 2
    """Operations one after the other, under ``randaugment``."""
    magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0
    """Their strength, under ``randaugment``, in the paper's units."""
    share: Fraction = 1.0
    """Part of the images that are treated."""


class Augment(Section):
    """What is done to training images, whole batches at a time, image and mask together."""

    flips: bool = True
    """Mirror along either axis and turn by quarter turns at random: overhead pictures have no up."""
    rotate: Annotated[float, Field(ge=0, le=180)] = 15.0
    """Rotation by up to this many degrees either way; 0 for none."""
    scale: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Zoom by a factor drawn from [1 - scale, 1 + scale]; 0 for none."""
    shift: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Translation by up to this share of the side; 0 for none."""
    color: Fraction = 0.2
    """Strength of random brightness, contrast and saturation; 0 for none."""
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Standard deviation of Gaussian noise, in units of the full brightness range; 0 for none."""
    erase: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the area blanked by a random rectangle in half of the images; 0 for none."""
    shear: Annotated[float, Field(ge=0, le=45)] = 0.0
    """Slant by up to this many degrees either way; 0 for none."""
    elastic: Annotated[float, Field(ge=0, le=0.1)] = 0.0
    """Elastic deformation (Simard et al. 2003): standard deviation of each pixel's move, as a share of the side."""
    elastic_smoothness: Annotated[float, Field(ge=0.02, le=0.25)] = 0.08
    """Distance over which pixels move together, as a share of the side: the paper's sigma."""
    blur: Annotated[float, Field(ge=0, le=0.3)] = 0.0
    """Motion blur of half of the images along a line of up to this share of the side; 0 for none."""
    edges: Fraction = 0.0
    """White edges on black (Canny 1986) are mixed in with a weight of up to this; 0 for none."""
    morphology: Fraction = 0.0
    """The image's erosion, dilation, opening or closing is mixed in with a weight of up to this; 0 for none."""
    morphology_kind: Literal["any", "erosion", "dilation", "opening", "closing"] = "any"
    """Which of them; ``any`` draws one for each image."""
    morphology_radius: Annotated[int, Field(ge=1, le=4)] = 1
    """Pixels that they reach to each side."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """MixUp (Zhang et al. 2018): two images of a batch and their labels are averaged with a weight from Beta(a, a) of
    this a, and masks as well; 0 for none."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """CutMix (Yun et al. 2019): a rectangle of another image of the batch is pasted in, with its mask. Its area is from
    Beta(a, a) of this a and weighs the labels; 0 for none. With ``mixup`` as well, each image draws one of the two."""
    policy: Policy = Policy()


class Head(Section):
    """A dataset's classifier on what the encoder says of an image."""

    kind: Literal["linear", "mlp", "attention", "cosine"] = "mlp"
    """``linear``: one layer on the pooled features. ``mlp``: ``depth`` hidden layers first. ``attention``: that on what
    ``queries`` learnt queries find in the grid, too. ``cosine``: after the hidden layers scaled cosines with a vector
    per class, in training with a margin (CosFace, Wang et al. 2018)."""
    depth: Annotated[int, Field(ge=0, le=3)] = 1
    """Hidden layers of every kind but ``linear``; 0 for none."""
    width: Annotated[int, Field(ge=8, le=4096)] = 256
    """Units of each hidden layer; ignored at depth 0."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Dropout before every linear layer, and before the cosines."""
    queries: Annotated[int, Field(ge=1, le=32)] = 4
    """Of ``attention``: each pools the grid in a way of its own."""
    scale: Annotated[float, Field(ge=1, le=256)] = 16.0
    """Of ``cosine``: the largest logit. K classes can have a probability of p from (K-1)/K ln((K-1) p / (1-p)) on, the
    bound of Wang et al. 2018: 9.1 for p = 0.99 of 100 classes."""
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Of ``cosine``: by how much the true class's cosine must lead the others' in training; 0 for plain cosines."""


class Stop(Section):
    """When this dataset has learnt enough (``stopping.rule`` says what then happens)."""

    patience: Count = 3
    """Epochs without an improvement of more than ``min_delta`` before the dataset rests."""
    min_delta: NotNegative = 0.002
    """What counts as an improvement of its primary validation metric."""
    relative: bool = False
    """Take ``min_delta`` as a share of the best value so far instead of absolute."""
    target: Fraction | None = None
    """Rest as soon as the primary validation metric reaches this; None for no target."""
    min_epochs: Count = 4
    """Epochs before the dataset may rest: early on, a dataset that learns slowly looks like one that has converged."""
    margin: NotNegative = 0.02
    """A resting dataset wakes when its metric falls below best x (1 - margin), or when its trickle raises it by this
    share: it rested too early. Lu et al. 2020 use 0.005, which is less than the noise of a validation split of 2,000
    images: it wakes datasets by chance."""


class Dataset(Section):
    """One dataset: what is read, how it is shown to the model, and when it stops."""

    reader: str = ""
    """Which reader of the catalog reads it; empty for the one of its own name."""
    root: Place = ""
    """Folder of the files; empty for the dataset's folder under ``--data``."""
    follow_links: bool = False
    """Also read what links lead to: hidden folders below the root, and what lies in ``link_roots``. Without it, a link
    out of the root is refused, and links to folders are left out."""
    link_roots: Annotated[str, AfterValidator(_all_local)] = ""
    """Folders outside of the root that links may lead into under ``follow_links``, with commas between."""
    clean: Place = ""
    """Plan that ``data --clean`` wrote: what it lists is left out, and copies share a split; empty for everything."""
    enabled: bool = True
    """Whether the dataset takes part."""
    prompt: Annotated[str, Field(pattern=r"^$|\{class\}")] = ""
    """Sentence for the text encoder, with {class} where the name of a class goes; empty for the reader's own."""
    weight: NotNegative = 1.0
    """Weight of its loss in the total."""
    share: NotNegative = 1.0
    """Its part of the training steps, relative to the others' (``mixing.rule: share``)."""
    image_size: Annotated[int, Field(ge=16, le=1024, multiple_of=8)] = 64
    """Side in pixels at which the model sees it."""
    tile: Annotated[int, Field(ge=16, le=8192)] = 320
    """Side in source pixels of the tiles that large scenes are cut into; ignored by datasets of small pictures."""
    max_pixels: Annotated[int, Field(ge=256)] = 64_000_000
    """Pixels that one of its pictures may have; a larger one is refused before it is decoded."""
    classes: Annotated[str, Field(pattern=r"^$|^\d+( *, *\d+)*$")] = ""
    """Class ids of the boxes that are planes, such as ``0`` or ``0, 3``, where labels have several; any other object is
    background. Empty for the only id there is."""
    values: Annotated[str, Field(pattern=r"^$|^-?[0-9.e+-]+ *, *-?[0-9.e+-]+$")] = ""
    """Of pictures with more than 8 bits, the numbers that are shown as black and as white, such as ``0, 2047``; empty
    for the range that the dataset's files use."""
    limit: Annotated[int, Field(ge=0)] = 0
    """Use at most this many training images, drawn with all classes in proportion; 0 for all."""
    class_balanced: bool = False
    """Draw training images with every class equally likely."""
    augment: Augment = Augment()
    head: Head = Head()
    stop: Stop = Stop()

    @property
    def roots_of_links(self) -> tuple[Path, ...]:
        """The folders of ``link_roots``."""
        return tuple(Path(part.strip()) for part in self.link_roots.split(",") if part.strip())


if TYPE_CHECKING:

    class Losses(Section):
        """A section for each task, by its name."""

        def __getattr__(self, name: str) -> Any: ...

else:
    Losses = create_model(
        "Losses",
        __base__=Section,
        __module__=__name__,
        __doc__="Terms are divided by their values at chance before these weights apply: 1 means the same to all.",
        **{name: (task.settings, task.settings()) for name, task in TASKS.items()},
    )


class Balancing(Section):
    """How the terms are weighed against each other during training, on top of their own weights."""

    rule: Literal["fixed", "uncertainty", "dwa", "famo"] = "fixed"
    """``fixed``: by their weights alone (Kurin et al. 2022, Xin et al. 2022 find that tuned weights suffice).
    ``uncertainty``: Kendall et al. 2018. ``dwa``: Liu et al. 2019. ``famo``: Liu et al. 2023."""
    dwa_temperature: Positive = 2.0
    """Softness of DWA's weights."""
    famo_lr: Positive = 0.025
    """Learning rate of FAMO's task logits."""


class Mixing(Section):
    """Which dataset trains at which step."""

    rule: Literal["share", "temperature", "gain"] = "share"
    """``share``: by each dataset's ``share``. ``temperature``: by n^(1/T) of its n training images in use.
    ``gain``: more steps for those whose validation improves most per step (Albalak et al. 2023)."""
    temperature: Annotated[float, Field(ge=1, le=100)] = 2.0
    """T of ``temperature``: 1 follows the sizes, large values approach equal shares."""
    explore: Annotated[float, Field(gt=0, le=1)] = 0.3
    """Part of the steps that ``gain`` hands out evenly whatever it has seen."""


class Stopping(Section):
    """What happens when a dataset has converged."""

    rule: Literal["none", "stop", "stop_and_go"] = "stop_and_go"
    """``none``: nothing. ``stop``: it rests for good. ``stop_and_go``: it rests, and wakes when it gets worse or goes
    on improving. Whatever the rule, a dataset below a floor of the study neither rests nor stays at rest."""
    freed: Literal["given", "saved"] = "given"
    """``given``: its steps go to the datasets still training. ``saved``: the epoch gets shorter."""
    trickle: Annotated[int, Field(ge=0)] = 4
    """Under ``stop_and_go`` a resting dataset keeps one in this many of its steps; 0 for none. Lu et al. 2020 use 4."""


class Backbone(Section):
    """The image encoder. No statistics are shared between images or datasets: norms are by group, or fixed."""

    kind: Annotated[str, AfterValidator(known)] = "residual"
    """``residual``: three stages of residual blocks of our own. ``timm/NAME``: any network of timm that gives maps of
    features, convolutional or a transformer; ``resnet18``, ``resnet50``, ``resnet101``, ``resnext50``, ``densenet121``,
    ``mobilenet_v2``, ``efficientnet_lite0``, ``efficientnet_b1``, ``convnext_tiny``, ``swin_t``, ``vit_b_16``,
    ``clip`` and ``dinov2`` are short names of some."""
    width: Annotated[int, Field(ge=8, le=256, multiple_of=8)] = 24
    """Channels of the first map, twice and four times as many in the next two; the others' maps are projected to it."""
    depth: Annotated[int, Field(ge=1, le=8)] = 1
    """Residual blocks in each of the three stages of ``residual`` (strides 2, 4 and 8)."""
    enlarge: Literal[1, 2] = 2
    """How many times as large as ``image_size`` a network of timm with maps at several strides sees the picture: they
    were made for 224 pixels. One with a single grid sees each picture so that its patches lie at stride 8."""
    weights: Annotated[Place, Field(min_length=1)] = "random"
    """``random``, ``pretrained`` (packaged for ``efficientnet_lite0``, else from the hub's cache or the network), or a
    file of the network's weights (.safetensors, .pth), or a folder with model.safetensors."""
    freeze: bool = False
    """Keep the network as it is: only the projections of its maps are trained. Not for ``residual``."""


class Dit(Section):
    """Transformer blocks over the last grid, conditioned on the dataset by adaptive layer norm (Peebles & Xie 2023)."""

    depth: Annotated[int, Field(ge=0, le=12)] = 1
    """Blocks; 0 leaves the tokens as they are."""
    heads: Annotated[int, Field(ge=1, le=16)] = 4
    """Attention heads; the grid's channels (4 x backbone width) must divide by it."""


class Decoder(Section):
    """The UNet that turns the pyramid into masks."""

    width: Annotated[int, Field(ge=4, le=256, multiple_of=4)] = 16
    """Channels at its finest level; the detector has twice as many."""


class Model(Section):
    """Backbone, refinement and decoder, shared by all datasets."""

    backbone: Backbone = Backbone()
    dit: Dit = Dit()
    decoder: Decoder = Decoder()


class Text(Section):
    """The encoder of the class prompts."""

    model: Place = "minilm"
    """``minilm`` (packaged, works offline), or any BERT by hub name (``bert-base-uncased``) or folder."""
    templates: Place = ""
    """Sentences for every class, where a dataset has no ``prompt`` of its own; their embeddings are averaged.
    ``photo``, ``overhead``, or a file (.txt, a sentence with {class} a line). Empty for one sentence, the reader's."""
    freeze: bool = True
    """Encode once per study, or train the encoder through the contrastive term, on ``devices.text``: every step then
    encodes all sentences of its dataset (2.6 s for 100 on one core), and checkpoints hold the encoder."""
    lr_factor: Annotated[float, Field(gt=0, le=1)] = 0.01
    """The encoder's learning rate relative to ``optim.lr``, when it trains: a pretrained BERT forgets at high rates."""


class Optim(Section):
    """The optimiser, its learning rate over the budget, and what happens to gradients and weights."""

    kind: Literal["adamw", "sgd", "lion"] = "adamw"
    """``adamw``: Loshchilov & Hutter 2019. ``sgd``: with Nesterov's momentum; wants about 10 times the rate. ``lion``:
    Chen et al. 2023; wants about a fifth of it."""
    lr: Annotated[float, Field(gt=0, le=1)] = 2e-3
    """Peak learning rate."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Of ``sgd``."""
    weight_decay: NotNegative = 0.02
    """Decoupled decay of all weights that are matrices or filters."""
    schedule: Literal["cosine", "constant", "step", "plateau"] = "cosine"
    """After the warm-up: down to zero along a cosine over the budget, flat, ``factor`` times as high after each share
    ``every`` of the budget, or after each plateau."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the budget's steps over which the rate rises."""
    factor: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """What ``step`` and ``plateau`` multiply the rate by."""
    every: Annotated[float, Field(gt=0, le=1)] = 0.34
    """Of ``step``: share of the budget after the warm-up between two steps of the rate."""
    plateau: Literal["dataset", "score"] = "dataset"
    """Of ``plateau``: each dataset's rate follows its own primary validation metric, or all follow the goal's score."""
    patience: Count = 2
    """Of ``plateau``: epochs without a gain before the rate is lowered."""
    clip: NotNegative = 1.0
    """Gradients are scaled down to this norm; 0 for no limit."""
    accumulate: Annotated[int, Field(ge=1, le=1024)] = 1
    """Batches whose gradients are averaged for one move of the weights. They follow each other in the mix, so they may
    be of different datasets. ``budget.steps_per_epoch`` counts batches all the same."""
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Decay of a moving average of the weights, which is validated and kept in their place; 0 for none."""
    backbone_factor: Annotated[float, Field(gt=0, le=10)] | None = None
    """Learning rate of the backbone relative to the rest; null for 0.1 where it is pretrained, 1 otherwise."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Learning rate of each layer of the backbone relative to the layer above it (Clark et al. 2020); 1 for equal."""


class Budget(Section):
    """How long a trial trains. Samples seen = epochs x steps_per_epoch x batch_size."""

    epochs: Annotated[int, Field(ge=1, le=10_000)] = 12
    """Rounds of training and validation; fewer if every dataset rests."""
    steps_per_epoch: Annotated[int, Field(ge=1, le=1_000_000)] = 60
    """Batches between two validations, over all datasets together."""
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 32
    """Images of a step, over all workers together; each step draws from one dataset."""


class Split(Section):
    """Which pictures validate. None of it changes the test split.

    All pictures of a group (a scene, copies) are in the same split.
    """

    kind: Literal["holdout", "group", "kfold"] = "holdout"
    """``holdout``: each dataset's own lists, else one in ten by group. The others pool training and validation pictures
    and part them anew, classes in proportion. ``group``: ``share`` of them validate. ``kfold``: one of ``folds``."""
    share: Annotated[float, Field(gt=0, lt=1)] = 0.1
    """Validation pictures of ``group``."""
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Parts of ``kfold``. ``train --folds K`` trains them all and gives mean and spread."""
    fold: Annotated[int, Field(ge=0)] = 0
    """The part of ``kfold`` that validates, from 0."""


class Devices(Section):
    """Where the two encoders run; ``auto`` takes a GPU when the worker has one."""

    vision: Literal["auto", "cpu", "cuda"] = "auto"
    """Of the image model."""
    text: Literal["auto", "cpu", "cuda"] = "cpu"
    """Of the prompts' encoder. Where it trains with several workers, the same as ``vision``."""
    threads: Count = 1
    """CPU threads of each worker. Sums may round differently with another number."""


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
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the forward pass."""
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    """Of weights, order, augmentation and dropout; never of the splits."""
    start: Place = ""
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
                raise ValueError(f"datasets: {name!r} is no name for a dataset; use up to 64 letters, digits, - and _")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> TrialConfig:
        channels = 4 * self.model.backbone.width
        if channels % self.model.dit.heads:
            raise ValueError(
                f"model.dit.heads = {self.model.dit.heads} does not divide the grid's {channels} channels "
                f"(4 x model.backbone.width); choose heads that do"
            )
        own, weights = self.model.backbone.kind == OWN, self.model.backbone.weights
        if own and (weights != "random" or self.model.backbone.freeze):
            what = "model.backbone.freeze" if weights == "random" else f"model.backbone.weights = '{weights}'"
            raise ValueError(
                f"{what} is for networks of other libraries; leave it out, or choose another backbone kind"
            )
        if self.balancing.rule == "famo" and self.optim.accumulate > 1:
            raise ValueError(
                f"balancing.rule = famo asks after every batch what its move of the weights did to the loss, so "
                f"optim.accumulate = {self.optim.accumulate} cannot go with it; set it to 1 or choose another rule"
            )
        if self.split.fold >= self.split.folds:
            raise ValueError(
                f"split.fold = {self.split.fold}: the {self.split.folds} folds (split.folds) count from 0 to "
                f"{self.split.folds - 1}"
            )
        for part in self.frozen:
            if part not in FREEZABLE:
                near = did_you_mean(part, FREEZABLE)
                raise ValueError(f"freeze: no part '{part}'{near} (there are: {', '.join(FREEZABLE)})")
        if set(self.frozen) == set(FREEZABLE):
            raise ValueError(f"freeze = {self.freeze} leaves nothing to learn; take out at least one part")
        for name, dataset in self.datasets.items():
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
        names = stage_names(self.plan)
        if len(set(names)) < len(names):
            raise ValueError(f"plan = {self.plan}: a stage stands there twice; give each its own name")
        for name in names:
            if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
                raise ValueError(f"plan: '{name}' is no name for a stage; use up to 64 letters, digits, - and _")
            if name not in self.stages:
                raise ValueError(
                    f"plan: stage '{name}' has no setting{did_you_mean(name, self.stages)}; say what it has otherwise, "
                    f"such as stages.{name}.budget.epochs: 5"
                )
        for path in (f"{name}.{path}" for name, changes in self.stages.items() for path in _paths(changes)):
            _, top, *rest = path.split(".")
            if top in KEPT or (top == "datasets" and set(rest[-1:]) & set(KEPT_OF_DATASETS)):
                raise ValueError(f"stages.{path} cannot change within a training; set it for the whole of it")
        for name in names:
            self._stage(name, first=name == names[0])
        return self

    @property
    def staged(self) -> tuple[tuple[str, TrialConfig], ...]:
        """Name and whole configuration of each stage, in order; one without a name where there is no plan.

        A later stage does not take ``start`` from the rest of the tree, as it has weights, and draws with a seed of its
        own, so that it does not repeat the order and augmentation of the stage before.
        """
        names = stage_names(self.plan)
        return tuple((name, self._stage(name, first=name == names[0])) for name in names) or (("", self),)

    def _stage(self, name: str, *, first: bool) -> TrialConfig:
        changes = self.stages[name]
        base = self.model_dump() | {"plan": "", "stages": {}}
        if not first:
            base |= {"start": "", "seed": random.Random(f"{self.seed}/{name}").randrange(2**31)}
        try:
            return TrialConfig.model_validate(_merged(base, changes))
        except ValidationError as error:
            first_one = error.errors()[0]
            path = ".".join(["stages", name, *map(str, first_one["loc"])])
            raise ValueError(f"{path}: {str(first_one['msg']).removeprefix('Value error, ')}") from None

    @property
    def active(self) -> dict[str, Dataset]:
        """The enabled datasets, in the catalog's order."""
        order = [*CATALOG, *self.datasets]
        return {name: d for name, d in sorted(self.datasets.items(), key=lambda i: order.index(i[0])) if d.enabled}

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that ``freeze`` names."""
        return tuple(part for each in self.freeze.split(",") if (part := each.strip()))


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    deeper = {
        k: _merged(base[k], v) for k, v in changes.items() if isinstance(v, dict) and isinstance(base.get(k), dict)
    }
    return {**base, **changes, **deeper}


def _paths(changes: Mapping[str, Any]) -> Iterator[str]:
    for key, value in changes.items():
        yield from (f"{key}.{path}" for path in _paths(value)) if isinstance(value, dict) else (key,)
