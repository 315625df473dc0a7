"""How the terms are weighed against each other during training, on top of the weights that the settings give them.

A task is one term of one dataset, ``"fgvc/classification"``. The papers see every task at every step; here a step
holds the tasks of one dataset, and a dataset at rest has no steps for a while. Each rule says what that changes. Where
all tasks are present at every step, each is exactly its paper's.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from raytune_planes.config import Balancing

FLOOR = 1e-3
"""Added to a loss before FAMO's logarithm, relative to chance: a task at a thousandth of it is solved. Without
it a loss of 0 would take all of the weight."""

DECAY = 1e-3
"""FAMO's regularisation of the logits: gamma of its Algorithm 2."""


class Balancer(ABC):
    """Turns the losses of a step into the total to descend, and may learn from how they go."""

    needs_after: ClassVar[bool] = False
    """Whether ``after_step`` wants the losses evaluated again on the same batch after the update."""

    def __init__(self, tasks: Sequence[str], settings: Balancing) -> None:
        self.tasks, self.settings = tuple(tasks), settings

    def combine(
        self,
        losses: Mapping[str, Tensor],
        weights: Mapping[str, float] | None = None,
        shared: Mapping[str, float] | None = None,
    ) -> Tensor:
        """The total of the tasks in ``losses``, to call backward on.

        ``weights`` are the settings' own (default: 1). They multiply what the rule makes of a task; multiplied into its
        loss beforehand, uncertainty and FAMO would learn them away again. ``shared`` are the losses averaged over all
        workers (default: ``losses``): the rule decides on these, so that it decides the same on every worker and the
        mean of the workers' gradients is the gradient of the global batch.
        """
        assert losses, "a step holds at least one task"
        means = {t: loss.detach() for t, loss in losses.items()}
        if shared is not None:
            means = {t: torch.full_like(loss, shared[t]) for t, loss in means.items()}
        balanced = self._balance(losses, means)
        return torch.stack([value if weights is None else weights[t] * value for t, value in balanced.items()]).sum()

    @abstractmethod
    def _balance(self, losses: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What each task of ``losses`` adds to the total; ``means`` are those over the workers, without gradient."""

    def after_step(self, before: Mapping[str, float], after: Mapping[str, float] | None) -> None:  # noqa: B027
        """Learn from a step's losses (averaged over the workers) before and after the update."""

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:  # noqa: B027
        """Learn from the epoch's mean training losses; tasks that did not train are absent."""

    def to(self, device: torch.device) -> None:  # noqa: B027
        """Learn there, before the optimiser is made: what a loss on a GPU learns with would be fetched each step."""

    def parameters(self) -> Iterable[nn.Parameter]:
        """What the model's optimiser trains jointly, without weight decay; the same gradient on every worker."""
        return ()

    @abstractmethod
    def weights(self) -> dict[str, float]:
        """The factor that each task has by now, for the record; see each rule for its scale."""

    def state_dict(self) -> dict[str, Any]:
        """All that changes over time: tensors and floats."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Go on exactly as the balancer that made ``state``."""


class Fixed(Balancer):
    """The settings' weights alone, which tuned well are hard to beat (Kurin et al. 2022, Xin et al. 2022)."""

    def _balance(self, losses: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(losses)

    def weights(self) -> dict[str, float]:
        return dict.fromkeys(self.tasks, 1.0)


class Uncertainty(Balancer):
    """Homoscedastic uncertainty, Kendall et al. 2018: total = sum of exp(-s) L + s / 2 with learnt s = ln sigma^2.

    This is their classification form (L / sigma^2 + ln sigma, eq. 10); the regression form halves the first part. All
    terms here are likelihoods of a softmax or sigmoid, or scaled like one. A task that is absent from a step adds
    neither part, so its s rests as well.
    """

    def __init__(self, tasks: Sequence[str], settings: Balancing) -> None:
        super().__init__(tasks, settings)
        self.log_variance_T = nn.Parameter(torch.zeros(len(self.tasks)))

    def _balance(self, losses: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        parts = {}
        for task, loss in losses.items():
            s = self.log_variance_T[self.tasks.index(task)]
            precision = torch.exp(-s)
            # exp(-s) L + s / 2, cut so that the model descends this worker's loss and s the mean over the workers.
            parts[task] = precision.detach() * (loss - means[task]) + precision * means[task] + s / 2
        return parts

    def to(self, device: torch.device) -> None:
        self.log_variance_T = nn.Parameter(self.log_variance_T.detach().to(device))

    def parameters(self) -> Iterable[nn.Parameter]:
        return (self.log_variance_T,)

    def weights(self) -> dict[str, float]:
        """exp(-s) of each task."""
        return dict(zip(self.tasks, torch.exp(-self.log_variance_T.detach()).tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        return {"log_variance": self.log_variance_T.detach().cpu().clone()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        with torch.no_grad():  # in place: the optimiser holds this very tensor
            self.log_variance_T.copy_(state["log_variance"])


class DynamicAverage(Balancer):
    """Dynamic weight average, Liu et al. 2019: weight_k = K softmax_k(r / T), r_k = L_k(e - 1) / L_k(e - 2), eq. 7.

    The losses are means over an epoch; weights are 1 until there are two. A task that did not train in an epoch keeps
    its last two means, and one without two keeps 1 and stays out of the softmax.
    """

    def __init__(self, tasks: Sequence[str], settings: Balancing) -> None:
        super().__init__(tasks, settings)
        self._history: dict[str, list[float]] = {task: [] for task in self.tasks}

    def _balance(self, losses: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        rule = self.weights()
        return {t: rule[t] * loss for t, loss in losses.items()}

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:
        for task in self.tasks:
            if task in mean_losses:
                self._history[task] = [*self._history[task], float(mean_losses[task])][-2:]

    def weights(self) -> dict[str, float]:
        """Their sum is the number of tasks."""
        known = {t: h[1] / max(h[0], 1e-8) for t, h in self._history.items() if len(h) == 2}
        top = max(known.values(), default=0.0)
        raised = {t: math.exp((r - top) / self.settings.dwa_temperature) for t, r in known.items()}
        scale = len(known) / sum(raised.values()) if known else 0.0
        return dict.fromkeys(self.tasks, 1.0) | {t: scale * v for t, v in raised.items()}

    def state_dict(self) -> dict[str, Any]:
        return {"history": {task: list(h) for task, h in self._history.items()}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._history = {task: list(state["history"][task]) for task in self.tasks}


class Famo(Balancer):
    """FAMO, Liu et al. 2023, Algorithm 2: every task's log loss is to fall at the same rate.

    With logits w, z = softmax(w): descend c sum z_i ln L_i, where c = (sum z_i / L_i)^-1, so that the gradient is an
    average of the tasks' gradients with weights c z_i / L_i that sum to 1. After the update, with d_i = ln L_i before -
    ln L_i after on the same batch, w takes an Adam step (decay 0.001) along the gradient (dz/dw)^T d: a task that fell
    fast loses weight.

    What changes when a step holds only some tasks: z stays the softmax over all tasks that still train (those of the
    last epoch and of this step), c uses the last loss seen of the absent ones (1, chance, before any), and d is 0 for
    them, because the step did not measure them. (dz/dw)^T d is linear in d, so the steps of one round over the datasets
    add up to the paper's gradient. Renormalising over the present tasks instead would balance the terms within each
    dataset but never dataset against dataset, and a hard one would remain neglected. The total is scaled by training /
    present tasks, so that a step weighs as much as one that holds all.
    """

    needs_after = True

    def __init__(self, tasks: Sequence[str], settings: Balancing) -> None:
        super().__init__(tasks, settings)
        self._logits_T = torch.zeros(len(self.tasks), dtype=torch.float64)
        self._adam = torch.optim.Adam([self._logits_T], lr=settings.famo_lr, weight_decay=DECAY)
        self._last = dict.fromkeys(self.tasks, 1.0)
        self._training = set(self.tasks)

    def _balance(self, losses: Mapping[str, Tensor], means: Mapping[str, Tensor]) -> dict[str, Tensor]:
        self._last |= {t: float(mean) for t, mean in means.items()}
        self._training |= set(losses)
        z = self._shares()
        c = 1 / sum(z[t] / (self._last[t] + FLOOR) for t in z)
        scale = c * len(z) / len(losses)
        # ln L by its tangent at the mean over the workers: the same value and gradient where there is one worker.
        log = {t: torch.log(means[t] + FLOOR) + (loss - means[t]) / (means[t] + FLOOR) for t, loss in losses.items()}
        return {t: scale * z[t] * value for t, value in log.items()}

    def after_step(self, before: Mapping[str, float], after: Mapping[str, float] | None) -> None:
        assert after is not None, "FAMO learns from the losses after the update"
        z = self._shares()
        fall = {t: math.log(before[t] + FLOOR) - math.log(after[t] + FLOOR) for t in before}
        mean = sum(z[t] * fall[t] for t in fall)
        gradient = [z[t] * (fall.get(t, 0.0) - mean) if t in z else 0.0 for t in self.tasks]
        self._logits_T.grad = torch.tensor(gradient, dtype=torch.float64)
        self._adam.step()

    def end_epoch(self, mean_losses: Mapping[str, float]) -> None:
        self._training = {t for t in self.tasks if t in mean_losses} or set(self.tasks)

    def weights(self) -> dict[str, float]:
        """z of each task: their sum is 1 over the tasks that train, and 0 for those at rest."""
        return dict.fromkeys(self.tasks, 0.0) | self._shares()

    def _shares(self) -> dict[str, float]:
        training = [t for t in self.tasks if t in self._training]
        z = torch.softmax(self._logits_T[[self.tasks.index(t) for t in training]], 0)
        return dict(zip(training, z.tolist(), strict=True))

    def state_dict(self) -> dict[str, Any]:
        adam = {name: value.clone() for name, value in self._adam.state[self._logits_T].items()}
        return {
            "logits": self._logits_T.clone(),
            "adam": adam,
            "last": dict(self._last),
            "training": {task: float(task in self._training) for task in self.tasks},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._logits_T.copy_(state["logits"])
        self._adam.state[self._logits_T] = {name: value.clone() for name, value in state["adam"].items()}
        self._last = dict(state["last"])
        self._training = {task for task, flag in state["training"].items() if flag}


BALANCERS: Mapping[str, type[Balancer]] = {
    "fixed": Fixed,
    "uncertainty": Uncertainty,
    "dwa": DynamicAverage,
    "famo": Famo,
}
"""``balancing.rule`` -> class."""
