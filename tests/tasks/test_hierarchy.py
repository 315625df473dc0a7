"""The groups above the classes: their cross-entropy from the classes' own probabilities."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from raytune_planes.datasets.base import Info
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks.classification.hierarchy import groups, hierarchy
from raytune_planes.tasks.classification.implementation import Logits
from raytune_planes.tasks.loading import make_tasks
from raytune_planes.tasks.terms import terms
from tests.toy import INFOS, toy_config, toy_prompts

TREE = {"family": (0, 0, 1, 2), "manufacturer": (0, 0, 1, 1)}
LEVELS = groups(TREE)


def test_a_parents_probability_is_the_sum_of_its_classes() -> None:
    p_BK = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.4, 0.1]])
    family = -(math.log(0.3) + math.log(0.1)) / 2 / math.log(3)
    manufacturer = -(math.log(0.3) + math.log(0.5)) / 2 / math.log(2)
    found = hierarchy(p_BK.log() + 7, torch.tensor([1, 3]), LEVELS)
    assert found.item() == pytest.approx((family + manufacturer) / 2, rel=1e-5)


def test_all_mass_on_the_right_parents_costs_nothing_also_when_the_class_is_wrong() -> None:
    sure_of_the_sibling = 40.0 * F.one_hot(torch.tensor([1, 0]), 4)
    assert hierarchy(sure_of_the_sibling, torch.tensor([0, 1]), LEVELS).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("label", range(4))
def test_even_parents_cost_one(label: int) -> None:
    for is_of_PK in LEVELS:
        even_K = (is_of_PK.float() / is_of_PK.sum(1, keepdim=True)).sum(0).log()
        assert hierarchy(even_K[None], torch.tensor([label]), (is_of_PK,)).item() == pytest.approx(1, rel=1e-6)


def test_probabilities_that_round_to_nothing_still_have_a_gradient() -> None:
    logits_BK = torch.tensor([[200.0, 0.0, 0.0, -200.0]], requires_grad=True)
    loss = hierarchy(logits_BK, torch.tensor([3]), LEVELS)
    loss.backward()
    assert math.isfinite(loss.item())
    assert logits_BK.grad is not None
    assert logits_BK.grad[0, 0] > 0.1 > -0.1 > logits_BK.grad[0, 3]


def test_a_mixed_target_costs_the_mix_of_its_parts() -> None:
    logits_BK, one_B, two_B = torch.randn(5, 4), torch.tensor([0, 1, 2, 3, 0]), torch.tensor([3, 2, 2, 0, 1])
    mixed_BK = 0.3 * F.one_hot(one_B, 4) + 0.7 * F.one_hot(two_B, 4)
    apart = 0.3 * hierarchy(logits_BK, one_B, LEVELS) + 0.7 * hierarchy(logits_BK, two_B, LEVELS)
    torch.testing.assert_close(hierarchy(logits_BK, mixed_BK, LEVELS), apart)


def test_levels_of_one_parent_and_parents_without_a_class_are_left_out() -> None:
    family_PK, manufacturer_PK = groups({"family": (0, 0, 5), "kind": (0, 0, 0), "manufacturer": (1, 2, 3)})
    assert family_PK.tolist() == [[True, True, False], [False, False, True]]
    assert manufacturer_PK.tolist() == torch.eye(3).bool().tolist()
    assert groups({}) == ()


def test_the_classification_term_holds_the_parents_at_their_weight_divided_by_the_chance_level_loss() -> None:
    label_B, logits_BK = torch.tensor([0, 3, 5]), torch.randn(3, 6)
    batch, prompts_KW = Batch("fgvc", torch.zeros(3, 3, 16, 16), label_B, None), torch.from_numpy(toy_prompts()["fgvc"])
    levels = groups(INFOS["fgvc"].parents)

    def term(weight: float, logits_BK: Tensor = logits_BK, info: Info = INFOS["fgvc"]) -> float:
        tasks = make_tasks(toy_config(losses__classification__hierarchy=weight), {**INFOS, "fgvc": info})
        return terms(tasks, {"classification": Logits(logits_BK)}, batch, prompts_KW)["classification"].item()

    plain = F.cross_entropy(logits_BK, label_B).item() / math.log(6)
    above = hierarchy(logits_BK, label_B, levels).item()
    assert term(0) == pytest.approx(plain)
    assert term(0.5) == pytest.approx((plain + 0.5 * above) / 1.5)
    assert term(0.5, torch.zeros(3, 6)) == pytest.approx(1)
    assert term(0.5, info=replace(INFOS["fgvc"], parents={})) == pytest.approx(plain)
