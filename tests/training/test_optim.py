"""Our optimiser is torch's AdamW, step by step and state for state, without the import of torch's compiler."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from raytune_planes.training.optim import AdamW


def pair() -> tuple[AdamW, torch.optim.AdamW, list[nn.Parameter], list[nn.Parameter]]:
    """Ours and torch's, on equal parameters of their own: two that are decayed, one that is not."""
    torch.manual_seed(0)
    start = [torch.randn(4, 3), torch.randn(2, 3, 3, 3).to(memory_format=torch.channels_last), torch.randn(3)]
    mine, theirs = ([nn.Parameter(t.clone()) for t in start] for _ in range(2))
    ours = AdamW([(mine[:2], 0.1, 1.0), (mine[2:], 0.0, 1.0)], lr=0.01)
    groups = [{"params": theirs[:2], "weight_decay": 0.1}, {"params": theirs[2:], "weight_decay": 0.0}]
    return ours, torch.optim.AdamW(groups, lr=0.01), mine, theirs


def move(ours: AdamW, torchs: torch.optim.AdamW, mine: list[nn.Parameter], theirs: list[nn.Parameter], n: int) -> None:
    """``n`` steps on equal gradients; the first parameter has one in every second step only."""
    generator = torch.Generator().manual_seed(n)
    for i in range(n):
        ours.zero_grad()
        torchs.zero_grad()
        for own, other in list(zip(mine, theirs, strict=True))[i % 2 :]:
            own.grad = torch.randn(own.shape, generator=generator)
            other.grad = own.grad.clone()
        ours.step()
        torchs.step()


def test_it_moves_as_torchs_own_and_leaves_what_has_no_gradient() -> None:
    both = pair()
    move(*both, 5)
    for own, other in zip(both[2], both[3], strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-7)
    assert [float(s["step"]) for s in both[0].state_dict()["state"].values()] == [3, 5, 5]


@pytest.mark.parametrize("whose", [0, 1])
def test_it_goes_on_from_its_own_state_and_from_torchs(whose: int) -> None:
    first, second = pair(), pair()
    move(*first, 4)
    state = first[whose].state_dict()
    second[0].load_state_dict(state)
    second[1].load_state_dict(copy.deepcopy(first[1].state_dict()))  # it would share the tensors
    with torch.no_grad():
        for old, new in zip(first[2] + first[3], second[2] + second[3], strict=True):
            new.copy_(old)
    move(*second, 3)
    for own, other in zip(second[2], second[3], strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-7)
    assert float(state["state"][0]["step"]) == 2, "the state that was given is not written to"


def test_a_step_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys, torch\nfrom raytune_planes.training.optim import AdamW\n"
        "weight = torch.nn.Parameter(torch.ones(2, 2))\noptimizer = AdamW([([weight], 0.1, 1.0)], 0.01)\n"
        "weight.sum().backward()\noptimizer.step()\noptimizer.zero_grad()\n"
        "assert weight.grad is None and weight[0, 0] < 1\n"
        "assert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
