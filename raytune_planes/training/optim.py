"""The optimiser and its learning rate over the budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from raytune_planes import config

BETAS, EPSILON = (0.9, 0.999), 1e-8


class AdamW:
    """AdamW (Loshchilov & Hutter 2019) through torch's fused kernel, with the state of ``torch.optim.AdamW``.

    Not that class itself: the first call of any ``torch.optim.Optimizer`` imports torch's compiler (torch 2.15), which
    costs a process more than torch does. And a step takes one kernel per group instead of a dozen.
    """

    def __init__(self, groups: Sequence[tuple[Iterable[nn.Parameter], float, float]], lr: float) -> None:
        """``groups``: parameters, their weight decay, and their learning rate relative to the others'."""
        self.param_groups: list[dict[str, Any]] = [
            {"params": list(params), "weight_decay": decay, "lr": lr * factor, "factor": factor}
            for params, decay, factor in groups
        ]
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

    def _step(self, moved: Sequence[nn.Parameter], lr: float, decay: float) -> None:
        states = [self._state.get(p) or self._begin(p) for p in moved]
        steps, means, squares = ([s[key] for s in states] for key in ("step", "exp_avg", "exp_avg_sq"))
        torch._foreach_add_(steps, 1)
        torch._fused_adamw_(
            list[Tensor](moved),
            [_laid_out_as(p) for p in moved],
            means,
            squares,
            [],
            steps,
            lr=lr,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=decay,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def _begin(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        self._state[parameter] = {
            "step": torch.zeros((), dtype=torch.float32, device=parameter.device),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
        return self._state[parameter]

    def state_dict(self) -> dict[str, Any]:
        return {"state": {i: dict(self._state[p]) for i, p in enumerate(self._parameters()) if p in self._state}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from ``state``, of this class or of ``torch.optim.AdamW`` over the same groups."""
        parameters = self._parameters()
        for index, values in state["state"].items():
            own = self._begin(parameters[int(index)])
            for key in own:
                own[key].detach().copy_(values[key])

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self.param_groups for p in group["params"]]


def _laid_out_as(parameter: nn.Parameter) -> Tensor:
    """The gradient, in the memory layout of its parameter: the kernel goes through all of them as they lie."""
    gradient = parameter.grad
    assert gradient is not None
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def make_optimizer(
    model: nn.Module,
    extra: Iterable[nn.Parameter],
    settings: config.Optim,
    factors: Mapping[str, float] | None = None,
) -> AdamW:
    """Biases, norms and ``extra`` (balancing's own parameters) are not decayed.

    ``factors``: by the beginning of parameters' names, their learning rate relative to ``settings.lr``.
    """
    factor_of = {
        parameter: next((factor for start, factor in (factors or {}).items() if name.startswith(start)), 1.0)
        for name, parameter in model.named_parameters()
    }
    groups: list[tuple[Iterable[nn.Parameter], float, float]] = []
    for factor in dict.fromkeys([1.0, *factor_of.values()]):
        own = [p for p, f in factor_of.items() if f == factor]
        groups.append(([p for p in own if p.ndim >= 2], settings.weight_decay, factor))
        groups.append(([*(p for p in own if p.ndim < 2), *(extra if factor == 1 else ())], 0.0, factor))
    return AdamW(groups, settings.lr)


def rate(settings: config.Optim, progress: float) -> float:
    """The learning rate when ``progress`` in [0, 1] of the budget is spent."""
    if progress < settings.warmup:
        return settings.lr * (progress + 1e-3) / (settings.warmup + 1e-3)
    if settings.schedule == "constant":
        return settings.lr
    after = (progress - settings.warmup) / (1 - settings.warmup)
    return settings.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, after)))


def set_rate(optimizer: AdamW | torch.optim.Optimizer, value: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = value * group.get("factor", 1.0)
