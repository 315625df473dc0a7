"""The table of terms, and what its terms have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch
from torch import Tensor

from raytune_planes.config import Detection, Losses, Reconstruction
from raytune_planes.datasets.loaders import Batch
from raytune_planes.losses import TERMS, applicable, identity, terms
from raytune_planes.model.aircraft import Output
from tests.toy import INFOS, toy_config, toy_prompts

CONFIG = toy_config()
ALL = Losses(reconstruction=Reconstruction(weight=1), detection=Detection(weight=1))


def batch(dataset: str, size: int = 8) -> Batch:
    generator = torch.Generator().manual_seed(3)
    classes = len(INFOS[dataset].classes)
    mask_BHW = (torch.rand(size, 16, 16, generator=generator) < 0.2).float() if INFOS[dataset].has_masks else None
    image_BCHW = torch.rand(size, 3, 16, 16, generator=generator)
    hidden_BHW = torch.rand(size, 16, 16, generator=generator) < 0.5
    corner_BM2 = torch.rand(size, 3, 2, generator=generator) * 0.6
    boxes_BM4 = torch.cat([corner_BM2, corner_BM2 + 0.3], 2) if INFOS[dataset].has_boxes else None
    plain = Batch(dataset, image_BCHW, torch.arange(size) % classes, mask_BHW)
    return replace(plain, hidden_BHW=hidden_BHW, boxes_BM4=boxes_BM4)


def output(dataset: str, size: int = 8) -> Output:
    generator = torch.Generator().manual_seed(4)
    embedding_BW = torch.nn.functional.normalize(torch.randn(size, 12, generator=generator), dim=1)
    mask_logits_BHW = torch.randn(size, 16, 16, generator=generator) if INFOS[dataset].has_masks else None
    logits_BK = torch.randn(size, len(INFOS[dataset].classes), generator=generator)
    painted_BCHW, covered_BCHW = torch.randn(2, size, 3, 16, 16, generator=generator)
    says = Output(logits_BK, mask_logits_BHW, embedding_BW, torch.tensor(-1.0))
    cells_B5HW = torch.randn(size, 5, 4, 4, generator=generator) if INFOS[dataset].has_boxes else None
    return replace(says, painted_BCHW=painted_BCHW, covered_BCHW=covered_BCHW, cells_B5HW=cells_B5HW)


def of(dataset: str, says: Output, what: Batch, gather: Callable[[Tensor], Tensor] = identity) -> dict[str, Tensor]:
    return terms(says, what, torch.from_numpy(toy_prompts()[dataset]), CONFIG, gather)


def test_every_term_of_the_settings_is_in_the_table_and_no_other() -> None:
    assert set(TERMS) == set(Losses.model_fields)


@pytest.mark.parametrize("dataset", INFOS)
def test_a_dataset_has_the_terms_that_apply_to_it_and_only_one_with_masks_is_segmented(dataset: str) -> None:
    found = of(dataset, output(dataset), batch(dataset))
    assert set(found) == set(applicable(INFOS[dataset], ALL))
    assert ("segmentation" in found) == INFOS[dataset].has_masks


@pytest.mark.parametrize("dataset", INFOS)
def test_a_term_that_wants_a_part_of_its_own_is_left_out_at_weight_zero(dataset: str) -> None:
    says = replace(output(dataset), painted_BCHW=None, covered_BCHW=None, cells_B5HW=None)
    found = of(dataset, says, replace(batch(dataset), hidden_BHW=None, boxes_BM4=None))
    assert set(found) == set(applicable(INFOS[dataset], Losses()))
    assert not {"reconstruction", "detection"} & set(found)


def test_every_term_is_a_finite_positive_scalar_in_float32_under_low_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        says = output("hrplanes")
        says.logits_BK = says.logits_BK.bfloat16()
        found = of("hrplanes", says, batch("hrplanes"))
    for value in found.values():
        assert value.shape == ()
        assert value.dtype == torch.float32
        assert 0 < value.item() < 10


def blended(dataset: str) -> Batch:
    """The same batch, each image with a part of another."""
    plain = batch(dataset)
    mask_BHW = None if plain.mask_BHW is None else 0.7 * plain.mask_BHW + 0.3 * plain.mask_BHW.roll(3, 0)
    share_B = torch.linspace(0.5, 1, 8)
    return replace(plain, mask_BHW=mask_BHW, other_B=plain.label_B.roll(3, 0), share_B=share_B)


@pytest.mark.parametrize("kind", [batch, blended])
@pytest.mark.parametrize("dataset", INFOS)
def test_two_workers_average_to_the_whole_batch_in_value_and_gradient(
    dataset: str, kind: Callable[[str], Batch]
) -> None:
    what = kind(dataset)
    whole, halves = output(dataset), output(dataset)
    inputs = {False: _leaves(whole), True: _leaves(halves)}
    alone = of(dataset, whole, what)
    workers = [(_rows(halves, slice(4 * rank, 4 * rank + 4)), what.pieces(2)[rank]) for rank in (0, 1)]
    handed: list[list[Tensor]] = [[], []]
    for rank, (part, mine) in enumerate(workers):
        of(dataset, part, mine, gather=Handing(handed[rank]))
    gathered = [torch.cat(pair) for pair in zip(*handed, strict=True)]
    per_worker = [of(dataset, part, mine, gather=Gathered(gathered)) for part, mine in workers]
    for term, value in alone.items():
        assert sum(w[term].item() for w in per_worker) / 2 == pytest.approx(value.item(), rel=1e-5)
    torch.stack(list(alone.values())).sum().backward()
    (torch.stack([v for w in per_worker for v in w.values()]).sum() / 2).backward()
    for one, two in zip(inputs[False], inputs[True], strict=True):
        torch.testing.assert_close(one.grad, two.grad)


class Handing:
    """Keeps what a worker hands over, call after call."""

    def __init__(self, kept: list[Tensor]) -> None:
        self._kept = kept

    def __call__(self, rows: Tensor) -> Tensor:
        self._kept.append(rows)
        return torch.cat([rows, rows])


class Gathered:
    """All workers' rows, call after call."""

    def __init__(self, calls: list[Tensor]) -> None:
        self._calls = iter(calls)

    def __call__(self, rows: Tensor) -> Tensor:
        return next(self._calls)


def _rows(says: Output, rows: slice) -> Output:
    held = {f.name: getattr(says, f.name) for f in fields(says)}
    return replace(says, **{k: v[rows] for k, v in held.items() if isinstance(v, Tensor) and v.ndim})


def _leaves(says: Output) -> list[Tensor]:
    found = [getattr(says, f.name) for f in fields(says) if f.name != "covered_BCHW"]
    return [t.requires_grad_() for t in found if isinstance(t, Tensor)]
