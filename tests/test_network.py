"""The whole model: shapes, who learns from what, and that it learns."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from raytune_planes.datasets.loaders import Batch
from raytune_planes.network import Network
from raytune_planes.tasks.contrastive.implementation import TEMPERATURES
from raytune_planes.tasks.outputs import tensors
from raytune_planes.tasks.terms import terms
from tests.toy import INFOS, SIDE, toy_config, toy_data, toy_prompts

PROMPTS = {name: torch.from_numpy(rows) for name, rows in toy_prompts().items()}
DATA = toy_data()


def make(seed: int = 0, **settings: object) -> Network:
    torch.manual_seed(seed)
    return Network(INFOS, toy_config(**settings), text_width=12)


def batch(dataset: str) -> Batch:
    arrays = DATA[dataset]
    at = arrays.splits["train"]
    image_BCHW = (torch.from_numpy(arrays.images_NHWC[at]).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    mask_BHW = None if arrays.masks_NHW is None else torch.from_numpy(arrays.masks_NHW[at]).float()
    return Batch(dataset, image_BCHW, torch.from_numpy(arrays.labels_N[at]), mask_BHW)


def losses(model: Network, dataset: str) -> dict[str, Tensor]:
    what = batch(dataset)
    return terms(model.tasks, model(dataset, what.image_BCHW), what, PROMPTS[dataset])


def descend(model: Network, steps: int) -> list[dict[str, float]]:
    """The terms of every step, one dataset after the other."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    seen = []
    for step in range(steps):
        name = list(INFOS)[step % len(INFOS)]
        found = losses(model, name)
        optimizer.zero_grad(set_to_none=True)
        torch.stack(list(found.values())).sum().backward()
        optimizer.step()
        seen.append({f"{name}/{term}": value.item() for term, value in found.items()})
    return seen


@pytest.mark.parametrize("dataset", INFOS)
@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 24)])
def test_the_output_has_the_shapes_of_the_dataset(dataset: str, height: int, width: int) -> None:
    says = make()(dataset, torch.randn(3, 3, height, width))
    assert says["classification"].logits_BK.shape == (3, len(INFOS[dataset].classes))
    embedding_BW = says["contrastive"].embedding_BW
    assert embedding_BW.shape == (3, 12)
    torch.testing.assert_close(embedding_BW.norm(dim=1), torch.ones(3))
    shape = tuple(says["segmentation"].shape) if "segmentation" in says else None
    assert shape == ((3, height, width) if INFOS[dataset].has_masks else None)


def test_without_masks_there_is_no_decoder() -> None:
    model = Network({"fgvc": INFOS["fgvc"]}, toy_config(), text_width=12)
    assert not hasattr(model, "decoder")
    assert "segmentation" not in model("fgvc", torch.randn(1, 3, SIDE, SIDE))


@pytest.mark.parametrize("dataset", INFOS)
def test_an_untrained_model_costs_about_one_in_every_term(dataset: str) -> None:
    for term, value in losses(make(losses__contrastive__temperature=1.0), dataset).items():
        assert 0.4 < value.item() < 1.3, term  # masks start at their prior, which is better than guessing


@pytest.mark.parametrize("dataset", INFOS)
def test_gradients_reach_every_part_in_use_and_no_other(dataset: str) -> None:
    model = make()
    descend(model, 6)  # what starts at zero (gates, mask logits) has left it
    model.zero_grad(set_to_none=True)
    torch.stack(list(losses(model, dataset).values())).sum().backward()
    others = [name for name in INFOS if name != dataset]
    unused = tuple(f"{part}.{name}" for part in ("heads", "datasets") for name in others)
    unused += () if INFOS[dataset].has_masks else ("decoder.",)
    for name, parameter in model.named_parameters():
        if name.startswith(unused):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


def test_a_term_trains_through_the_outputs_that_are_for_it_and_no_other() -> None:
    model, what = make(losses__reconstruction__weight=1.0, losses__detection__weight=1.0), batch("hrplanes")
    boxes_BM4 = torch.tensor([0.2, 0.2, 0.6, 0.7]).expand(len(what), 1, 4)
    what = replace(what, hidden_BHW=torch.rand(len(what), SIDE, SIDE) < 0.5, boxes_BM4=boxes_BM4)
    says = model("hrplanes", what.image_BCHW, what.hidden_BHW)
    prompts_KW = PROMPTS["hrplanes"].clone().requires_grad_()
    says["contrastive"] = replace(says["contrastive"], prompts_KW=prompts_KW)
    leaves = {(task, i): t for task, answer in says.items() for i, t in enumerate(tensors(answer)) if t.requires_grad}
    for term, value in terms(model.tasks, says, what, PROMPTS["hrplanes"]).items():
        found = torch.autograd.grad(value, list(leaves.values()), retain_graph=True, allow_unused=True)
        reached = {key for key, gradient in zip(leaves, found, strict=True) if gradient is not None}
        assert reached == {key for key in leaves if key[0] == term}


def test_an_answer_that_is_only_measured_leads_to_no_parameter() -> None:
    model = make()
    model.measured_only = {"hrplanes": ("contrastive",)}
    says = model("hrplanes", torch.randn(2, 3, SIDE, SIDE))
    learnt = {task: [t.requires_grad for t in tensors(answer)] for task, answer in says.items()}
    assert learnt == {"classification": [True], "segmentation": [True], "contrastive": [False, False]}
    assert model("planesnet", torch.randn(2, 3, SIDE, SIDE))["contrastive"].embedding_BW.requires_grad


def test_it_learns_from_random_weights_within_a_hundred_steps() -> None:
    seen = descend(make(), 105)
    first = {task: value for step in seen[:3] for task, value in step.items()}
    last = {task: value for step in seen[-3:] for task, value in step.items()}
    assert len(first) == 7
    for task, value in last.items():
        assert value < 0.6 * min(1.0, first[task]), f"{task}: {first[task]:.2f} -> {value:.2f}"


def test_the_same_seed_gives_the_same_model_and_training() -> None:
    assert descend(make(5), 6) == descend(make(5), 6)
    assert descend(make(5), 3) != descend(make(6), 3)


def test_a_saved_model_says_the_same_and_is_plain_tensors() -> None:
    model, image_BCHW = make(), torch.randn(2, 3, SIDE, SIDE)
    saved = io.BytesIO()
    torch.save(model.state_dict(), saved)
    saved.seek(0)
    other = make(1)
    other.load_state_dict(torch.load(saved, weights_only=True))
    one, two = (m.eval()("hrplanes", image_BCHW) for m in (model, other))
    assert torch.equal(one["classification"].logits_BK, two["classification"].logits_BK)
    assert torch.equal(one["contrastive"].embedding_BW, two["contrastive"].embedding_BW)


def test_the_temperature_starts_as_set_and_stays_in_its_bounds() -> None:
    model = make(losses__contrastive__temperature=0.2)
    assert math.exp(model.log_temperature.item()) == pytest.approx(0.2)
    with torch.no_grad():
        model.log_temperature.fill_(-20.0)
    bounded = model("fgvc", torch.randn(1, 3, SIDE, SIDE))["contrastive"].log_temperature
    assert math.exp(bounded.item()) == pytest.approx(TEMPERATURES[0])
    bounded.backward()
    assert model.log_temperature.grad is not None  # still learns at its bound
    assert model.log_temperature.grad.item() == 1


def test_an_evaluation_bounds_the_temperature_and_changes_no_weight() -> None:
    model = make().eval()
    with torch.no_grad():
        model.log_temperature.fill_(math.log(TEMPERATURES[1]) + 1)  # type: ignore[operator, union-attr]
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    found = model("fgvc", batch("fgvc").image_BCHW)["contrastive"]
    assert math.exp(found.log_temperature.item()) == pytest.approx(TEMPERATURES[1])
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())


def test_low_precision_keeps_unit_rows_in_float32() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        says = make()("hrplanes", torch.randn(2, 3, SIDE, SIDE))
    embedding_BW = says["contrastive"].embedding_BW
    assert embedding_BW.dtype == torch.float32
    torch.testing.assert_close(embedding_BW.norm(dim=1), torch.ones(2))


@pytest.mark.parametrize("depth", [0, 3])
def test_head_and_refinement_take_every_depth(depth: int) -> None:
    model = make(datasets__fgvc__head__depth=depth, model__dit__depth=depth)
    assert model("fgvc", torch.randn(2, 3, SIDE, SIDE))["classification"].logits_BK.shape == (2, 6)
