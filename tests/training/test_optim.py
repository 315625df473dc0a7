"""Our optimisers move as torch's namesakes or their papers say, and never import torch's compiler."""

from __future__ import annotations

import copy
import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from raytune_planes.config import Optim, TrialConfig
from raytune_planes.network import Network
from raytune_planes.training import kernels
from raytune_planes.training.optim import layer_factors, make_optimizer, set_rate
from raytune_planes.training.optimizers import OPTIMIZERS, Optimizer
from tests.toy import INFOS, toy_config

LR, DECAY = 0.01, 0.1


class LionOfThePaper(torch.optim.Optimizer):
    """Chen et al. 2023, algorithm 2, one scalar at a time."""

    def __init__(self, groups: list[dict[str, object]], lr: float) -> None:
        super().__init__(groups, {"lr": lr})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    mean = self.state[p].setdefault("exp_avg", torch.zeros_like(p))
                    direction = (0.9 * mean + (1 - 0.9) * p.grad).sign()
                    p.sub_(group["lr"] * (direction + group["weight_decay"] * p))
                    mean.copy_(0.99 * mean + (1 - 0.99) * p.grad)


class DecoupledSGD(torch.optim.SGD):
    """torch's SGD with the decay of weights taken out of the gradient, as in SGDW."""

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.mul_(1 - group["lr"] * group["decay"])
        super().step()


def reference(kind: str, decayed: list[nn.Parameter], free: list[nn.Parameter]) -> torch.optim.Optimizer:
    if kind == "sgd":
        groups = [{"params": decayed, "decay": DECAY}, {"params": free, "decay": 0.0}]
        return DecoupledSGD(groups, lr=LR, momentum=0.9, nesterov=True)
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=LR) if kind == "adamw" else LionOfThePaper(groups, lr=LR)


def pair(kind: str) -> tuple[Optimizer, torch.optim.Optimizer, list[nn.Parameter], list[nn.Parameter]]:
    """Ours and its reference, on equal parameters of their own: two that are decayed, one that is not."""
    torch.manual_seed(0)
    start = [torch.randn(4, 3), torch.randn(2, 3, 3, 3).to(memory_format=torch.channels_last), torch.randn(3)]
    mine, theirs = ([nn.Parameter(t.clone()) for t in start] for _ in range(2))
    ours = OPTIMIZERS[kind]([(mine[:2], DECAY, 1.0), (mine[2:], 0.0, 1.0)], Optim(kind=kind, lr=LR))  # type: ignore[arg-type]
    return ours, reference(kind, theirs[:2], theirs[2:]), mine, theirs


def move(
    ours: Optimizer, other: torch.optim.Optimizer, mine: list[nn.Parameter], theirs: list[nn.Parameter], n: int
) -> None:
    """``n`` steps on equal gradients; the first parameter has one in every second step only."""
    generator = torch.Generator().manual_seed(n)
    for i in range(n):
        ours.zero_grad()
        other.zero_grad()
        for own, its in list(zip(mine, theirs, strict=True))[i % 2 :]:
            own.grad = torch.randn(own.shape, generator=generator)
            its.grad = own.grad.clone()
        ours.step()
        other.step()


def same(mine: list[nn.Parameter], theirs: list[nn.Parameter]) -> None:
    for own, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_it_moves_as_its_reference_and_leaves_what_has_no_gradient(kind: str) -> None:
    both = pair(kind)
    move(*both, 6)
    same(both[2], both[3])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_has_no_gradient_keeps_its_place_and_its_state(kind: str) -> None:
    ours, other, mine, theirs = pair(kind)
    move(ours, other, mine, theirs, 4)
    still, state = mine[0].detach().clone(), copy.deepcopy(ours.state_dict()["state"][0])
    ours.zero_grad()
    mine[2].grad = torch.ones(3)
    ours.step()
    assert torch.equal(mine[0], still)
    assert all(torch.equal(ours.state_dict()["state"][0][key], state[key]) for key in state)


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("whose", [0, 1], ids=["ours", "the reference's"])
def test_it_goes_on_from_its_own_state_and_from_its_references(kind: str, whose: int) -> None:
    first, second = pair(kind), pair(kind)
    move(*first, 4)
    state = first[whose].state_dict()
    second[0].load_state_dict(state)
    second[1].load_state_dict(copy.deepcopy(first[1].state_dict()))  # it would share the tensors
    with torch.no_grad():
        for old, new in zip(first[2] + first[3], second[2] + second[3], strict=True):
            new.copy_(old)
    kept = copy.deepcopy(state["state"])
    move(*second, 3)
    same(second[2], second[3])
    for index, values in kept.items():
        assert all(
            torch.equal(torch.as_tensor(state["state"][index][k]), torch.as_tensor(v)) for k, v in values.items()
        )


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_torch_without_joint_operations_moves_the_same_and_says_so(
    kind: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kernels._missing.cache_clear()
    joint = [name for name in dir(torch) if name.startswith(("_foreach_", "_fused_adamw_"))]
    for name in joint:
        monkeypatch.delattr(torch, name)
    ours, _, mine, _ = pair(kind)
    for step in range(6):
        for number, own in enumerate(mine):
            own.grad = torch.full(own.shape, float(step - number))
        ours.step()
    monkeypatch.undo()
    assert f"torch {torch.__version__} has no torch._foreach_mul_: " in caplog.text
    other, _, with_joint, _ = pair(kind)
    for step in range(6):
        for number, own in enumerate(with_joint):
            own.grad = torch.full(own.shape, float(step - number))
        other.step()
    same(mine, with_joint)
    assert not torch.equal(mine[0], pair(kind)[2][0])


def test_a_step_does_not_import_torchs_compiler() -> None:
    code = (
        "import sys, torch\nfrom raytune_planes.config import Optim\n"
        "from raytune_planes.training.optimizers import OPTIMIZERS\n"
        "for kind in OPTIMIZERS:\n"
        "    weight = torch.nn.Parameter(torch.ones(2, 2))\n"
        "    optimizer = OPTIMIZERS[kind]([([weight], 0.1, 1.0)], Optim(kind=kind))\n"
        "    weight.sum().backward()\n    optimizer.step()\n    optimizer.zero_grad()\n"
        "    assert weight.grad is None and weight[0, 0] < 1\n"
        "assert not {'torch._dynamo', 'torch._inductor'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def network(**settings: object) -> tuple[Network, TrialConfig]:
    config = toy_config(**settings)
    return Network(INFOS, config, 12), config


def rates(model: Network, optimizer: Optimizer) -> dict[str, float]:
    of: dict[Tensor, float] = {p: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    return {name: of[p] for name, p in model.named_parameters()}


def test_each_layer_of_the_backbone_moves_slower_than_the_one_above_it() -> None:
    model, config = network(optim__backbone_factor=0.5, optim__layer_decay=0.8)
    optimizer = make_optimizer(model, (), config.optim)
    set_rate(optimizer, 1.0)
    found = rates(model, optimizer)
    layers = ("backbone.stem", "backbone.stages.0", "backbone.stages.1", "backbone.stages.2")
    for depth, layer in enumerate(layers):
        own = [rate for name, rate in found.items() if name.startswith(layer)]
        assert own == pytest.approx([0.5 * 0.8 ** (4 - depth)] * len(own))
        assert own
    assert {rate for name, rate in found.items() if not name.startswith("backbone")} == {1.0}
    assert set(layer_factors(model, config.optim)) == set(model.backbone.parameters())


def test_by_default_all_parameters_move_alike_in_two_groups() -> None:
    model, config = network()
    optimizer = make_optimizer(model, (), config.optim)
    assert [(g["weight_decay"], g["factor"]) for g in optimizer.param_groups] == [(0.02, 1.0), (0.0, 1.0)]
    assert set(rates(model, optimizer).values()) == {config.optim.lr}
