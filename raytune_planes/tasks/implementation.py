"""What a task does once there is a model: the targets it needs, its part of the model, its loss, its counts.

Imports no torch, so that a small task can be one file: settings, which everything reads, and a subclass of
``Implementation`` whose methods import torch where they need it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raytune_planes.tasks.base import Task
from raytune_planes.tasks.prediction import Prediction

if TYPE_CHECKING:
    from torch import Tensor, nn

    from raytune_planes.config import TrialConfig
    from raytune_planes.datasets.base import Info
    from raytune_planes.datasets.loaders import Batch


@dataclass(frozen=True)
class Shape:
    """What the shared encoder hands to the tasks."""

    channels: tuple[int, int, int]
    """Of its maps at strides 2, 4 and 8."""
    text_width: int
    """Of the embedding, and of the prompts' rows."""

    @property
    def features(self) -> int:
        """Of the pooled features, and channels of the last map."""
        return self.channels[-1]


@dataclass(frozen=True)
class Features:
    """What the shared encoder says of images of one dataset."""

    dataset: str
    image_BCHW: Tensor
    """Normalised."""
    pyramid: list[Tensor]
    """Maps at strides 2, 4 and 8, the last one refined."""
    pooled_BC: Tensor
    embedding_BW: Tensor
    """Unit rows in the space of the text encoder."""
    hidden_BHW: Tensor | None
    """bool, pixels that are to be reconstructed; None where no task asks for them."""
    prompts_KW: Tensor | None
    """Unit rows of the dataset's classes, in training with a text encoder that trains jointly; else None."""
    encode: Callable[[Tensor], Tensor]
    """Other images of the same dataset -> their last map, refined."""
    training: bool


@dataclass(frozen=True)
class Case:
    """What a loss is computed from, beside the task's own answer."""

    batch: Batch
    target: Tensor
    """label_B, or target_BK, the probabilities of the classes, where images are blended."""
    prompts_KW: Tensor
    """Unit rows, one per class of the batch's dataset."""
    gather: Callable[[Tensor], Tensor]
    """All workers' rows, in rank order, differentiable: its backward pass sums over the workers."""
    outputs: Mapping[str, Any] = field(default_factory=dict)
    """Of all tasks, by name: a loss may be computed from another task's answer as well."""
    tasks: Mapping[str, Implementation] = field(default_factory=dict)
    """All of the model, by name."""
    taught: Mapping[str, Any] = field(default_factory=dict)
    """What a specialist of the dataset says of the same pictures, by the tasks that it learnt; without gradients, and
    empty where no task asks for it."""


class Tally(ABC):
    """Counts of one dataset that add up, over batches and over workers."""

    size: int
    """Length of the counts."""
    in_training: bool = True
    """Whether training batches are counted as well as evaluation batches."""

    @abstractmethod
    def count(self, counts: Tensor, answer: Any, batch: Batch) -> None:
        """Add a batch's predictions to ``counts``, ``arithmetic.sums_dtype`` [size], on the device, without waiting."""

    @abstractmethod
    def metrics(self, counts: Tensor, images: float) -> dict[str, float]:
        """The metrics that summed ``counts`` of ``images`` pictures stand for; on the CPU."""


class Implementation(ABC):
    """A task of one configuration and its datasets. Its weights are in the model, under the names of ``build``."""

    reads_pictures: bool = True
    """Whether it reads the images of ``Features`` or of a batch. Where a frozen encoder's features are stored, there
    are none, so a task that does keeps them from being stored."""

    def __init__(self, task: Task, config: TrialConfig, infos: Mapping[str, Info]) -> None:
        self.task, self.config, self.infos = task, config, infos
        self.settings: Any = getattr(config.losses, task.name)

    def wants(self, dataset: str) -> bool:
        """Whether the model learns, or at least measures, this task on ``dataset``."""
        return not self.task.optional or self.settings.weight > 0

    def reads_fine_maps(self, dataset: str) -> bool:
        """Whether it reads more of the pyramid of ``dataset``'s images than the last map."""
        return True

    def targets(self) -> dict[str, Any]:
        """What batches must hold beside images, masks and labels: fields of ``datasets.pixels.Targets``."""
        return {}

    def build(self, shape: Shape) -> dict[str, nn.Module | nn.Parameter]:
        """Its part of the model by attribute name, freshly drawn; the names also begin the names of its weights."""
        return {}

    @abstractmethod
    def forward(self, parts: Mapping[str, Any], features: Features) -> Any:
        """What the model says: a tensor, or a dataclass of tensors; None where it has nothing to say.

        ``parts``: what ``build`` made.
        """

    @abstractmethod
    def loss(self, answer: Any, case: Case) -> Tensor:
        """Scalar, unweighted, divided by its value at chance: 1 is chance level, 0 is perfect.

        With several workers the mean over equal slices of a batch is the term of the whole batch, in value and, when
        ``case.gather`` is differentiable with summed gradients, in the gradient that data-parallel training averages.
        """

    def distance(self, answer: Any, taught: Any, temperature: float) -> Tensor | None:
        """How far ``answer`` is from a specialist's answer ``taught`` to the same pictures, for distillation.

        Scalar, 0 where they are equal, on the scale of ``loss``; None for a task that is not distilled.
        """
        return None

    def tally(self, dataset: str) -> Tally | None:
        """A fresh one; None for a task that measures its loss alone."""
        return None

    def prediction(self, answer: Any) -> Prediction:
        """Its part of the prediction for a picture: in ``predict``, the server, reports and ensembles."""
        return Prediction()

    def kept(self, answer: Any) -> Tensor | None:
        """A row for each picture that is kept with the validation answers, for ensembles; None for most tasks."""
        return None
