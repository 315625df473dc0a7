"""What becomes of the datasets' gradients of one move of the weights where they conflict: PCGrad and CAGrad."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from raytune_planes.config import Balancing

TINY = 1e-12
"""Of a squared norm: such a gradient has no direction."""


class Surgery:
    """Collects each dataset's gradient over the batches of a move, and puts one for all of them in their place.

    The papers' tasks are the datasets here: a batch holds one dataset, and the terms of its loss stay weighed by the
    rule. Only weights that several datasets of the move have a gradient for take part; the others move as ever. With
    several workers the gradients are averaged before, so all workers decide the same.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], settings: Balancing, seed: int) -> None:
        self._parameters, self._settings, self._seed = list(parameters), settings, seed
        self._taken: dict[str, list[Tensor | None]] = {}

    @property
    def is_asked(self) -> bool:
        return self._settings.surgery != "none"

    def take(self, dataset: str) -> None:
        """The gradients that lie at the parameters are of ``dataset``."""
        if self._settings.surgery == "none" or all(parameter.grad is None for parameter in self._parameters):
            return
        earlier = self._taken.get(dataset, [None] * len(self._parameters))
        self._taken[dataset] = [_sum(old, p.grad) for old, p in zip(earlier, self._parameters, strict=True)]
        for parameter in self._parameters:
            parameter.grad = None

    @torch.no_grad()
    def put(self, move: int) -> None:
        """Give every parameter the gradient to descend; ``move`` numbers the moves, for what is random."""
        if self._settings.surgery == "none":
            return
        taken, self._taken = self._taken, {}
        shared: list[int] = []
        for i, parameter in enumerate(self._parameters):
            own = [gradients[i] for gradients in taken.values() if gradients[i] is not None]
            parameter.grad = None
            for gradient in own:
                parameter.grad = _sum(parameter.grad, gradient)
            shared += [i] if len(own) > 1 else []
        if not shared:
            return
        gradients_KP = torch.stack(
            [torch.cat([_flat(gradients[i], self._parameters[i]) for i in shared]) for gradients in taken.values()]
        )
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self._seed, move])))
        joint_P = RULES[self._settings.surgery](gradients_KP, self._settings, random)
        for i, part in zip(shared, joint_P.split([self._parameters[i].numel() for i in shared]), strict=True):
            parameter = self._parameters[i]
            assert parameter.grad is not None
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))


def pcgrad(gradients_KP: Tensor, settings: Balancing, random: np.random.Generator) -> Tensor:
    """Projected gradients, Yu et al. 2020, algorithm 1: each loses its part against each other that it conflicts with,
    those in random order; the sum of what is left."""
    squares_K = gradients_KP.square().sum(1).tolist()
    joint_P = torch.zeros_like(gradients_KP[0])
    for k, gradient_P in enumerate(gradients_KP):
        left_P = gradient_P.clone()
        for other in random.permutation(len(gradients_KP)):
            if other != k and squares_K[other] > TINY and (dot := float(left_P @ gradients_KP[other])) < 0:
                left_P -= dot / squares_K[other] * gradients_KP[other]
        joint_P += left_P
    return joint_P


def cagrad(gradients_KP: Tensor, settings: Balancing, random: np.random.Generator) -> Tensor:
    """Conflict-averse gradient, Liu et al. 2021, algorithm 1: g_0 + c |g_0| g_w / |g_w|, where g_0 is the mean of the
    gradients and w on the simplex has the least g_w g_0 + c |g_0| |g_w|, with g_w the mean weighted by w.

    What ``gradients_KP`` sums to is their g_0, because batches are averaged: their gradients are K times as long.
    """
    from scipy.optimize import minimize

    count = len(gradients_KP)
    gram_KK = (count**2 * (gradients_KP @ gradients_KP.T)).cpu().double().numpy()
    mean_K = np.full(count, 1 / count)
    radius = settings.cagrad_c * math.sqrt(max(float(mean_K @ gram_KK @ mean_K), 0.0))
    scale = float(np.trace(gram_KK)) or 1.0  # the optimiser's tolerance is absolute

    def worst(w_K: np.ndarray) -> float:
        return float(w_K @ gram_KK @ mean_K + radius * math.sqrt(max(float(w_K @ gram_KK @ w_K), 0.0))) / scale

    simplex = {"type": "eq", "fun": lambda w_K: 1 - w_K.sum()}
    found = minimize(worst, mean_K, bounds=[(0, 1)] * count, constraints=simplex, options={"ftol": 1e-12})
    weights_K = torch.from_numpy(count * found.x).to(gradients_KP)
    joint_P, worst_P = gradients_KP.sum(0), weights_K @ gradients_KP
    return joint_P + radius * worst_P / max(float(worst_P.norm()), TINY)


RULES: Mapping[str, Callable[[Tensor, Balancing, np.random.Generator], Tensor]] = {"pcgrad": pcgrad, "cagrad": cagrad}
"""``balancing.surgery`` -> the gradient to descend, of the datasets' parts in their mean."""


def _sum(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def _flat(gradient: Tensor | None, parameter: nn.Parameter) -> Tensor:
    return parameter.new_zeros(parameter.numel()) if gradient is None else gradient.reshape(-1)
