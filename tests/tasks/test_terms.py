"""The table of tasks, and what the terms of the loss have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from raytune_planes.config import Losses
from raytune_planes.datasets.loaders import Batch
from raytune_planes.tasks import TASKS
from raytune_planes.tasks.classification.implementation import Logits
from raytune_planes.tasks.contrastive.implementation import Similarity
from raytune_planes.tasks.loading import make_tasks
from raytune_planes.tasks.outputs import mapped, tensors
from raytune_planes.tasks.reconstruction.implementation import Reconstructed
from raytune_planes.tasks.terms import identity, terms
from tests.toy import INFOS, toy_config, toy_prompts

Predictions = dict[str, Any]
ASKED = {f"losses__{name}__weight": 1.0 for name in ("reconstruction", "detection", "oriented_detection")}
ALL = make_tasks(toy_config(**ASKED), INFOS)


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


def answers(dataset: str, size: int = 8) -> Predictions:
    generator = torch.Generator().manual_seed(4)
    embedding_BW = torch.nn.functional.normalize(torch.randn(size, 12, generator=generator), dim=1)
    mask_logits_BHW = torch.randn(size, 16, 16, generator=generator)
    logits_BK = torch.randn(size, len(INFOS[dataset].classes), generator=generator)
    painted_BCHW, covered_BCHW = torch.randn(2, size, 3, 16, 16, generator=generator)
    says: Predictions = {
        "classification": Logits(logits_BK),
        "segmentation": mask_logits_BHW,
        "contrastive": Similarity(embedding_BW, torch.tensor(-1.0)),
        "reconstruction": Reconstructed(painted_BCHW, covered_BCHW),
        "detection": torch.randn(size, 5, 4, 4, generator=generator),
        "oriented_detection": torch.randn(size, 6, 4, 4, generator=generator),
    }
    return {name: answer for name, answer in says.items() if ALL[name].wants(dataset)}


def of(
    dataset: str, says: Predictions, what: Batch, gather: Callable[[Tensor], Tensor] = identity
) -> dict[str, Tensor]:
    return terms(ALL, says, what, torch.from_numpy(toy_prompts()[dataset]), gather)


def test_every_task_has_settings_of_its_own_name_and_no_other_has() -> None:
    assert set(TASKS) == set(Losses.model_fields)
    assert [task.name for task in TASKS.values()] == list(TASKS)


def test_no_two_tasks_measure_under_one_name() -> None:
    names = [name for task in TASKS.values() for name in task.measures]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("dataset", INFOS)
def test_a_dataset_has_the_terms_that_apply_to_it_and_only_one_with_masks_is_segmented(dataset: str) -> None:
    found = of(dataset, answers(dataset), batch(dataset))
    assert set(found) == {name for name, task in ALL.items() if task.wants(dataset)}
    assert ("segmentation" in found) == INFOS[dataset].has_masks
    assert ("detection" in found) == INFOS[dataset].has_boxes


def test_a_task_that_is_optional_is_left_out_at_weight_zero() -> None:
    assert set(make_tasks(toy_config(), INFOS)) == {name for name, task in TASKS.items() if not task.optional}


@pytest.mark.parametrize("dataset", INFOS)
def test_a_tally_of_each_task_gives_metrics_that_the_task_names(dataset: str) -> None:
    info, what, says = INFOS[dataset], batch(dataset), answers(dataset)
    for name in says:
        tally = ALL[name].tally(dataset)
        if tally is None:
            continue
        counts = torch.zeros(tally.size, dtype=torch.float64)
        tally.count(counts, says[name], what)
        found = tally.metrics(counts, len(what))
        # A plain dataset may have further levels above its classes, and another k.
        own = {f"{level}_accuracy" for level in info.parents} | {f"top{info.top_k}"}
        assert set(found) <= {*TASKS[name].metrics, *TASKS[name].errors, *own}
        assert all(0 <= value <= 1 for key, value in found.items() if key not in TASKS[name].errors)


def test_every_term_is_a_finite_positive_scalar_in_float32_under_low_precision() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        says = {name: mapped(answer, Tensor.bfloat16) for name, answer in answers("hrplanes").items()}
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
    whole, halves = answers(dataset), answers(dataset)
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


def _rows(says: Predictions, rows: slice) -> Predictions:
    return {name: mapped(answer, lambda held: held[rows] if held.ndim else held) for name, answer in says.items()}


def _leaves(says: Mapping[str, Any]) -> list[Tensor]:
    held = [tensor for answer in says.values() for tensor in tensors(answer)]
    return [tensor.requires_grad_() for tensor in held]
