"""What moves the weights: AdamW, SGD and Lion over groups of parameters, with their state in a checkpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from raytune_planes.config import Optim
from raytune_planes.training.kernels import adamw_, each

Group = tuple[Iterable[nn.Parameter], float, float]
"""Parameters, their weight decay, and their learning rate relative to the others'."""


class Optimizer(ABC):
    """None of ``torch.optim``: the first call of any ``torch.optim.Optimizer`` imports torch's compiler (torch 2.15),
    which costs a process more than torch does.

    Weight decay is decoupled from the gradient for all of them (Loshchilov & Hutter 2019).
    """

    state_keys: ClassVar[tuple[str, ...]]
    """What is remembered of each parameter, of its shape unless it is ``step``."""

    def __init__(self, groups: Sequence[Group], settings: Optim) -> None:
        self.param_groups: list[dict[str, Any]] = [
            {"params": list(params), "weight_decay": decay, "lr": settings.lr * factor, "factor": factor}
            for params, decay, factor in groups
        ]
        self.settings = settings
        self._state: dict[nn.Parameter, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        for parameter in self._parameters():
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter that has a gradient; the others, and what is remembered of them, stay as they are."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            for device in dict.fromkeys(p.device for p in moved):
                self._step([p for p in moved if p.device == device], group["lr"], group["weight_decay"])

    @abstractmethod
    def _step(self, moved: Sequence[nn.Parameter], lr: float, decay: float) -> None:
        """Move parameters of one device, all of which have a gradient."""

    def _states(self, moved: Sequence[nn.Parameter]) -> list[list[Tensor]]:
        """For each of ``state_keys`` what is remembered of ``moved``."""
        states = [self._state.get(p) or self._begin(p) for p in moved]
        return [[s[key] for s in states] for key in self.state_keys]

    def _begin(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        self._state[parameter] = {
            key: torch.zeros((), dtype=torch.float32, device=parameter.device)
            if key == "step"
            else torch.zeros_like(parameter)
            for key in self.state_keys
        }
        return self._state[parameter]

    def state_dict(self) -> dict[str, Any]:
        return {"state": {i: dict(self._state[p]) for i, p in enumerate(self._parameters()) if p in self._state}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, of this class or of its namesake in ``torch.optim`` over the same groups."""
        parameters = self._parameters()
        for index, values in state["state"].items():
            own = self._begin(parameters[int(index)])
            for key in own:
                own[key].detach().copy_(values[key])

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.param_groups for p in group["params"]]


class AdamW(Optimizer):
    """Adam with decoupled decay (Loshchilov & Hutter 2019), through torch's fused kernel: one call per group."""

    state_keys = ("step", "exp_avg", "exp_avg_sq")

    def _step(self, moved: Sequence[nn.Parameter], lr: float, decay: float) -> None:
        steps, means, squares = self._states(moved)
        each("add_", steps, 1)
        adamw_(moved, [_laid_out_as(p) for p in moved], means, squares, steps, lr=lr, decay=decay)


class SGD(Optimizer):
    """Gradient descent with Nesterov's momentum as torch has it (Sutskever et al. 2013), less the decay of weights.

    The buffer is v = momentum v + g, the step -lr (g + momentum v).
    """

    state_keys = ("momentum_buffer",)

    def _step(self, moved: Sequence[nn.Parameter], lr: float, decay: float) -> None:
        (buffers,), gradients, momentum = self._states(moved), _gradients(moved), self.settings.momentum
        each("mul_", moved, 1 - lr * decay)
        each("mul_", buffers, momentum)
        each("add_", buffers, gradients)
        each("add_", moved, gradients, alpha=-lr)
        each("add_", moved, buffers, alpha=-lr * momentum)


class Lion(Optimizer):
    """Evolved sign momentum (Chen et al. 2023, algorithm 2), with betas 0.9 and 0.99; wants a rate 3 to 10 times lower.

    By hand, because the kept libraries that have it (timm among them) import torchvision and torch's compiler: ten
    seconds of each process for four lines.
    """

    state_keys = ("exp_avg",)

    def _step(self, moved: Sequence[nn.Parameter], lr: float, decay: float) -> None:
        (means,), gradients = self._states(moved), _gradients(moved)
        each("mul_", moved, 1 - lr * decay)
        each("add_", moved, each("sign", each("lerp", gradients, means, 0.9)), alpha=-lr)
        each("lerp_", means, gradients, 1 - 0.99)


OPTIMIZERS: Mapping[str, type[Optimizer]] = {"adamw": AdamW, "sgd": SGD, "lion": Lion}
"""``optim.kind`` -> class."""


def _gradients(moved: Sequence[nn.Parameter]) -> list[Tensor]:
    return [p.grad for p in moved if p.grad is not None]


def _laid_out_as(parameter: nn.Parameter) -> Tensor:
    """The gradient, in the memory layout of its parameter: the kernel goes through all of them as they lie."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)
