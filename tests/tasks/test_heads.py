"""What each kind of head computes, against its formula."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from raytune_planes.config import Head
from raytune_planes.network import Network
from raytune_planes.tasks.classification.heads import Attention, Cosine, Mlp, linear
from raytune_planes.tasks.classification.loss import classification
from tests.toy import INFOS, SIDE, toy_config

STILL = {"width": 16, "dropout": 0.0}


def inputs(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 10, generator=generator), torch.randn(3, 10, 4, 5, generator=generator)


def test_an_mlp_is_the_plain_stack_of_layers_to_the_last_bit_and_by_the_same_names() -> None:
    """As it was before there were other heads: old weights still load, and the same seed draws the same ones."""
    torch.manual_seed(3)
    plain = nn.Sequential(
        *(nn.Dropout(0.0), nn.Linear(10, 16), nn.GELU()),
        *(nn.Dropout(0.0), nn.Linear(16, 16), nn.GELU()),
        *(nn.Dropout(0.0), nn.Linear(16, 7)),
    )
    torch.manual_seed(3)
    head = Mlp(10, 7, Head(depth=2, **STILL))
    assert list(head.state_dict()) == list(plain.state_dict())
    assert torch.equal(head(*inputs()), plain(inputs()[0]))


def test_a_linear_head_is_one_layer_whatever_the_depth() -> None:
    head = linear(10, 7, Head(kind="linear", depth=3, **STILL))
    assert [tuple(p.shape) for p in head.parameters()] == [(7, 10), (7,)]
    torch.testing.assert_close(head(*inputs()), inputs()[0] @ head[-1].weight.T + head[-1].bias)


@pytest.mark.parametrize("head", [Mlp(10, 7, Head(depth=1, **STILL)), Cosine(10, 7, Head(depth=1, **STILL))])
def test_heads_on_pooled_features_need_no_grid(head: nn.Module) -> None:
    pooled_BC, grid_BCHW = inputs()
    assert torch.equal(head(pooled_BC, grid_BCHW), head(pooled_BC, 0 * grid_BCHW))


def test_attention_is_the_softmax_weighted_sum_of_the_tokens() -> None:
    head = Attention(10, 7, Head(depth=0, queries=2, **STILL))
    pooled_BC, grid_BCHW = inputs()
    expected = []
    for b in range(3):
        token_NC = F.layer_norm(torch.stack([grid_BCHW[b, :, y, x] for y in range(4) for x in range(5)]), (10,))
        found = [pooled_BC[b]]
        for query_C in head.query_QC:
            weight_N = torch.exp(token_NC @ query_C / 10**0.5)
            found.append((weight_N[:, None] * token_NC).sum(0) / weight_N.sum())
        expected.append(head.mlp[-1](torch.cat(found)))
    torch.testing.assert_close(head(pooled_BC, grid_BCHW), torch.stack(expected), rtol=1e-4, atol=1e-5)


def test_attention_heeds_tokens_but_not_their_order() -> None:
    head = Attention(10, 7, Head(depth=1, **STILL))
    pooled_BC, grid_BCHW = inputs()
    order = torch.randperm(20, generator=torch.Generator().manual_seed(1))
    moved_BCHW = grid_BCHW.flatten(2)[..., order].view_as(grid_BCHW)
    torch.testing.assert_close(head(pooled_BC, moved_BCHW), head(pooled_BC, grid_BCHW))
    other_BCHW = grid_BCHW.clone()
    other_BCHW[:, :5, 0, 0] += 3
    assert (head(pooled_BC, other_BCHW) - head(pooled_BC, grid_BCHW)).abs().max() > 1e-3


@pytest.mark.parametrize("depth", [0, 1])
def test_cosine_logits_reach_the_scale_at_a_class_vector_and_never_exceed_it(depth: int) -> None:
    head = Cosine(10, 7, Head(depth=depth, scale=12, **STILL))
    pooled_BC, grid_BCHW = inputs()
    assert head(1e3 * pooled_BC, grid_BCHW).abs().max() <= 12 * (1 + 1e-6)
    feature_BF = head.hidden(pooled_BC)
    with torch.no_grad():
        head.class_KF[2] = 5 * feature_BF[1]
    expected_BK = 12 * F.cosine_similarity(feature_BF[:, None], head.class_KF[None], dim=2)
    torch.testing.assert_close(head(pooled_BC, grid_BCHW), expected_BK)
    assert head(pooled_BC, grid_BCHW)[1, 2].item() == pytest.approx(12)


def test_the_margin_is_that_of_cosface() -> None:
    """Wang et al. 2018, eq. 4: s (cos - m) for the true class, in the numerator and in the sum below."""
    scale, margin = 8.0, 0.3
    generator = torch.Generator().manual_seed(0)
    cosine_BK, label_B = 2 * torch.rand(4, 5, generator=generator) - 1, torch.tensor([0, 2, 4, 2])
    terms = []
    for cosine_K, y in zip(cosine_BK.double(), label_B, strict=True):
        true = torch.exp(scale * (cosine_K[y] - margin))
        others = sum(torch.exp(scale * cosine_K[j]) for j in range(5) if j != y)
        terms.append(-torch.log(true / (true + others)))
    expected = torch.stack(terms).mean() / torch.log(torch.tensor(5.0))
    found = classification(scale * cosine_BK, label_B, margin=scale * margin)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    assert found > classification(scale * cosine_BK, label_B)


def test_the_model_asks_for_a_margin_in_training_only_and_of_cosine_heads_only() -> None:
    settings = {"kind": "cosine", "scale": 10, "margin": 0.2}
    model = Network(INFOS, toy_config(**{f"datasets__fgvc__head__{k}": v for k, v in settings.items()}), text_width=12)
    image_BCHW = torch.randn(2, 3, SIDE, SIDE)
    assert model("fgvc", image_BCHW)["classification"].margin == pytest.approx(2)
    assert model("planesnet", image_BCHW)["classification"].margin == 0
    assert model.eval()("fgvc", image_BCHW)["classification"].margin == 0
