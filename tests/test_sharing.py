"""How much of the image encoder the datasets share: whom a gradient reaches, what a fresh part does, what is kept."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from raytune_planes.config import Backbone
from raytune_planes.errors import UserError
from raytune_planes.model import build_encoder
from raytune_planes.model.sharing import Adapter, Copies, make_adapters
from raytune_planes.network import Network
from raytune_planes.tasks.outputs import tensors
from raytune_planes.training.optim import layer_factors
from tests.plugins.shades.seeing import Squares
from tests.test_network import batch, descend, losses
from tests.toy import INFOS, SIDE, toy_config

KINDS = ("residual", "timm/mobilenetv3_small_050")
LEARNT = {"fgvc/classification": 0.9667417, "fgvc/contrastive": 1.1443108}
LAST = {"residual": "stages.2.", "timm/mobilenetv3_small_050": "net.blocks."}


def make(sharing: str, kind: str = "residual", **settings: Any) -> Network:
    torch.manual_seed(0)
    own = {"model__sharing": sharing, "model__backbone__kind": kind, **settings}
    return Network(INFOS, toy_config(**own), text_width=12)


def moved(model: Network) -> None:
    """All parameters away from where they begin, each dataset's its own way."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))


def reached(model: Network, dataset: str) -> set[str]:
    """The parameters that the losses of ``dataset`` have a gradient for."""
    total = torch.stack(list(losses(model, dataset).values())).sum()
    named = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    found = torch.autograd.grad(total, list(named.values()), allow_unused=True)
    return {name for name, gradient in zip(named, found, strict=True) if gradient is not None and gradient.any()}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sharing", ["adapters", "stage", "own"])
@pytest.mark.parametrize("dataset", INFOS)
def test_the_gradient_of_a_dataset_reaches_what_is_its_own_or_shared(dataset: str, sharing: str, kind: str) -> None:
    model = make(sharing, kind)
    moved(model)
    found, names = reached(model, dataset), {name for name, _ in model.named_parameters()}
    part = "adapters" if sharing == "adapters" else "own"
    mine = {name for name in names if name.startswith(f"{part}.{dataset}.")}
    shared = {name for name in names if name.startswith("backbone.")}
    reads = mine | shared
    if not INFOS[dataset].has_masks:  # of a network of timm these read the coarse maps alone
        reads = {name for name in reads if ".fine." not in name and not re.match(rf"adapters\.{dataset}\.[12]\.", name)}
    assert mine & reads
    assert reads <= found
    assert not {name for name in found if name.startswith(f"{part}.")} - mine
    assert bool(shared) == (sharing != "own")


@pytest.mark.parametrize("kind", KINDS)
def test_of_all_parameters_a_dataset_owns_its_copies(kind: str) -> None:
    """The whole is the trunk's for every dataset: nothing is twice there, nothing is absent."""
    whole = {n for n, _ in make("trunk", kind).named_parameters() if n.startswith("backbone.")}
    every = {n.removeprefix("backbone.") for n in whole}
    for sharing in ("stage", "own"):
        names = [n for n, _ in make(sharing, kind).named_parameters()]
        shared = {n.removeprefix("backbone.") for n in names if n.startswith("backbone.")}
        for dataset in INFOS:
            own = {n.removeprefix(f"own.{dataset}.") for n in names if n.startswith(f"own.{dataset}.")}
            assert shared | own == every
            assert not shared & own
            assert sharing == "own" or all(n.startswith(LAST[kind]) for n in own)
            assert sharing == "own" or shared


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sharing", ["adapters", "stage", "own"])
def test_a_fresh_model_says_what_the_shared_trunk_says(sharing: str, kind: str) -> None:
    trunk, model, image_BCHW = make("trunk", kind).eval(), make(sharing, kind).eval(), torch.randn(2, 3, SIDE, SIDE)
    for name in INFOS:
        for mine, theirs in zip(model._encode(name, image_BCHW), trunk.backbone(image_BCHW), strict=True):
            assert torch.equal(mine, theirs)
        says, said = (m(name, image_BCHW)["classification"].logits_BK for m in (model, trunk))
        assert torch.equal(says, said)  # the other parts are drawn alike


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sharing", ["adapters", "stage", "own"])
def test_each_dataset_is_answered_by_its_own_part(sharing: str, kind: str) -> None:
    model, image_BCHW = make(sharing, kind).eval(), torch.randn(2, 3, SIDE, SIDE)

    def last(name: str) -> Tensor:
        return model._encode(name, image_BCHW)[-1]

    before = {name: last(name) for name in INFOS}
    own = (model.adapters if sharing == "adapters" else model.own)["fgvc"]  # type: ignore[index]
    with torch.no_grad():
        for parameter in own.parameters():
            parameter.add_(0.3)
    assert not torch.equal(last("fgvc"), before["fgvc"])
    assert torch.equal(last("planesnet"), before["planesnet"])
    assert torch.equal(last("hrplanes"), before["hrplanes"])


def test_an_adapter_adds_what_the_paper_says() -> None:
    """x + U relu(V x) at every pixel, by hand."""
    adapter = Adapter(2)
    with torch.no_grad():
        adapter.narrow.weight.copy_(torch.tensor([[[[2.0]], [[-1.0]]]]))
        adapter.widen.weight.copy_(torch.tensor([[[[3.0]]], [[[0.5]]]]))
        adapter.widen.bias.copy_(torch.tensor([0.0, 1.0]))  # type: ignore[union-attr]
    x_BCHW = torch.tensor([[[[1.0, 0.0]], [[1.0, 4.0]]]])  # V x = 1 and -4
    assert adapter(x_BCHW).tolist() == [[[[1.0 + 3.0, 0.0]], [[1.0 + 0.5 + 1.0, 4.0 + 1.0]]]]


def test_an_adapter_stays_small_beside_a_wide_map() -> None:
    def size(channels: int) -> int:
        return sum(p.numel() for p in Adapter(channels).parameters())

    assert size(24) == 2 * 24 * 12 + 24
    assert size(2048) == 2 * 2048 * 32 + 2048


def test_by_default_the_model_and_its_training_are_those_of_one_trunk() -> None:
    """Names of weights, and losses after six steps as they were before there was a choice."""
    torch.manual_seed(5)
    model = Network(INFOS, toy_config(), text_width=12)
    assert not [name for name in model.state_dict() if name.startswith(("own.", "adapters."))]
    assert descend(model, 6)[-1] == pytest.approx(LEARNT, rel=1e-4)


@pytest.mark.parametrize("sharing", ["adapters", "stage"])
def test_a_frozen_encoder_keeps_what_is_shared_and_what_is_own_learns(sharing: str) -> None:
    model = make(sharing, KINDS[1], model__backbone__freeze=True)
    moved(model)
    found = reached(model, "hrplanes")
    assert not [name for name in found if name.startswith("backbone.net.")]
    part = "adapters" if sharing == "adapters" else "own"
    mine = {name for name, _ in model.named_parameters() if name.startswith(f"{part}.hrplanes.")}
    assert mine <= found
    assert mine


@pytest.mark.parametrize("kind", KINDS)
def test_copies_learn_at_the_rates_of_their_layers_and_adapters_at_full_rate(kind: str) -> None:
    rates: dict[str, Any] = {"optim__backbone_factor": 0.5, "optim__layer_decay": 0.8}
    config = toy_config(**rates)

    def factors(sharing: str) -> dict[str, float]:
        model = make(sharing, kind, **rates)
        found = layer_factors(model, config.optim)
        return {name: found[p] for name, p in model.named_parameters() if p in found}

    trunk = {name.removeprefix("backbone."): factor for name, factor in factors("trunk").items()}
    assert len(set(trunk.values())) > 3
    for sharing in ("stage", "own"):
        of = factors(sharing)
        shared = {name.removeprefix("backbone."): f for name, f in of.items() if name.startswith("backbone.")}
        for dataset in INFOS:
            own = {n.removeprefix(f"own.{dataset}."): f for n, f in of.items() if n.startswith(f"own.{dataset}.")}
            assert {**shared, **own} == trunk
    assert factors("adapters") == factors("trunk")


def test_every_copy_takes_pretrained_weights() -> None:
    model = make("stage", KINDS[1])
    whole: Any = build_encoder(Backbone(kind=KINDS[1], width=8))
    with torch.no_grad():
        for parameter in whole.parameters():
            nn.init.normal_(parameter)
    assert model.own is not None
    model.own.give(model.backbone, whole)
    image_BCHW = torch.randn(2, 3, SIDE, SIDE)
    for name in INFOS:
        torch.testing.assert_close(model._encode(name, image_BCHW)[-1], whole(image_BCHW)[-1])


def test_hidden_patches_are_reconstructed_through_the_datasets_own_part() -> None:
    model = make("own", losses__reconstruction__weight=1.0)
    what = batch("fgvc")
    hidden_BHW = torch.rand(len(what), SIDE, SIDE) < 0.5
    model.zero_grad(set_to_none=True)
    answer = model("fgvc", what.image_BCHW, hidden_BHW)["reconstruction"]
    torch.stack([t.square().mean() for t in tensors(answer) if t.requires_grad]).sum().backward()
    with_gradient = {
        name.split(".")[1] for name, p in model.named_parameters() if name[:4] == "own." and p.grad is not None
    }
    assert with_gradient == {"fgvc"}


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"model__backbone__kind": "resnet18", "model__backbone__freeze": True}, "model.backbone.freeze"),
        ({"freeze": "dit, backbone"}, "freeze = 'dit, backbone'"),
    ],
)
def test_a_backbone_that_nothing_shares_cannot_be_frozen(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=f"{named} keeps the backbone that all datasets share.*adapters or stage"):
        toy_config(model__sharing="own", **settings)


def test_a_backbone_of_another_package_has_adapters_and_last_stages_with_no_line_of_its_own() -> None:
    encoder, image_BCHW = Squares(Backbone(width=8)), torch.randn(2, 3, SIDE, SIDE)
    plain = encoder(image_BCHW)
    adapters = make_adapters(encoder, ["a"])["a"]
    assert isinstance(adapters, nn.ModuleDict)
    assert all(torch.equal(*pair) for pair in zip(encoder.adapted(image_BCHW, adapters), plain, strict=True))
    with torch.no_grad():
        adapters["2"].widen.bias.add_(1.0)  # type: ignore[union-attr]
    assert torch.equal(encoder.adapted(image_BCHW, adapters)[2], plain[2] + 1)
    assert encoder.last_stage == ["steps.2.weight", "steps.2.bias"]
    copies = Copies(encoder, encoder.last_stage, ["a", "b"])
    assert [name for name, _ in encoder.named_parameters()] == [
        f"steps.{i}.{p}" for i in (0, 1) for p in ("weight", "bias")
    ]
    assert all(torch.equal(*pair) for pair in zip(copies.encode(encoder, "b", image_BCHW), plain, strict=True))
