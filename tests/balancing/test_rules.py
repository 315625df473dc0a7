"""Each balancing rule against its paper's formula on a small case, and what all rules have in common."""

from __future__ import annotations

import io
import math
import typing

import pytest
import torch
from torch import Tensor

from raytune_planes.balancing.rules import BALANCERS, DECAY, FLOOR, Balancer
from raytune_planes.config import Balancing

A, B, C = "a/classification", "a/contrastive", "b/classification"
TASKS = [A, B, C]
SETTINGS = Balancing(dwa_temperature=2.0, famo_lr=0.025)


def make(rule: str) -> Balancer:
    return BALANCERS[rule](TASKS, SETTINGS)


def leaves(**values: float) -> dict[str, Tensor]:
    return {{"a": A, "b": B, "c": C}[k]: torch.tensor(v, requires_grad=True) for k, v in values.items()}


def gradients(balancer: Balancer, losses: dict[str, Tensor], **more: typing.Any) -> dict[str, float]:
    """What each loss's gradient is multiplied with."""
    balancer.combine(losses, **more).backward()
    return {task: typing.cast(Tensor, loss.grad).item() for task, loss in losses.items()}


def learn(balancer: Balancer, steps: int, seed: int = 0) -> list[float]:
    """A few steps of alternating datasets and epochs; the totals on the way."""
    generator, totals = torch.Generator().manual_seed(seed), []
    optimizer = torch.optim.Adam([*balancer.parameters(), torch.nn.Parameter(torch.zeros(1))], lr=0.05)
    for step in range(steps):
        tasks = [A, B] if step % 2 else [C]
        before = dict(zip(tasks, torch.rand(2, generator=generator).tolist(), strict=False))
        total = balancer.combine({t: torch.tensor(v, requires_grad=True) for t, v in before.items()})
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(total.item())
        after = {t: v * torch.rand(1, generator=generator).item() for t, v in before.items()}
        balancer.after_step(before, after if balancer.needs_after else None)
        if step % 4 == 3:
            balancer.end_epoch(dict(zip(TASKS, torch.rand(3, generator=generator).tolist(), strict=True)))
    return totals


def test_every_rule_of_the_settings_is_in_the_table_and_no_other() -> None:
    assert set(BALANCERS) == set(typing.get_args(Balancing.model_fields["rule"].annotation))


@pytest.mark.parametrize("rule", BALANCERS)
def test_a_rule_starts_without_preference(rule: str) -> None:
    assert len(set(gradients(make(rule), leaves(a=1.0, b=1.0, c=1.0)).values())) == 1
    assert len(set(make(rule).weights().values())) == 1


@pytest.mark.parametrize("rule", BALANCERS)
def test_the_settings_weights_multiply_what_the_rule_makes(rule: str) -> None:
    balancer = make(rule)
    learn(balancer, 10)
    plain = gradients(balancer, leaves(a=0.5, c=2.0))
    weighted = gradients(balancer, leaves(a=0.5, c=2.0), weights={A: 3.0, C: 0.5})
    assert weighted == pytest.approx({A: 3.0 * plain[A], C: 0.5 * plain[C]}, rel=1e-5)


@pytest.mark.parametrize("rule", BALANCERS)
def test_a_resumed_rule_goes_on_exactly(rule: str) -> None:
    whole = make(rule)
    learn(whole, 9)
    saved = io.BytesIO()
    torch.save(whole.state_dict(), saved)
    saved.seek(0)
    resumed = make(rule)
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    assert resumed.weights() == whole.weights()
    assert learn(resumed, 8, seed=1) == learn(whole, 8, seed=1)


@pytest.mark.parametrize("rule", BALANCERS)
def test_a_saved_state_does_not_change_afterwards(rule: str) -> None:
    balancer = make(rule)
    learn(balancer, 6)
    state, weights = balancer.state_dict(), balancer.weights()
    learn(balancer, 6)
    other = make(rule)
    other.load_state_dict(state)
    assert other.weights() == weights


@pytest.mark.parametrize("rule", BALANCERS)
def test_a_loss_of_zero_breaks_nothing(rule: str) -> None:
    balancer = make(rule)
    found = gradients(balancer, leaves(a=0.0, b=1.0))
    balancer.after_step({A: 0.0, B: 1.0}, {A: 0.0, B: 0.9})
    balancer.end_epoch({A: 0.0, B: 0.9})
    balancer.end_epoch({A: 0.0, B: 0.8})
    found |= gradients(balancer, leaves(c=0.0))
    assert all(math.isfinite(v) for v in [*found.values(), *balancer.weights().values()])


@pytest.mark.parametrize("rule", BALANCERS)
def test_two_workers_average_to_the_whole_batch(rule: str) -> None:
    """Gradient of the model's losses and of the rule's own parameters, for halves with losses 0.2 and 0.6."""
    one, two = make(rule), make(rule)
    for balancer in (one, two):
        learn(balancer, 7)
    whole = leaves(a=0.4, b=1.5)
    total = one.combine(whole)
    total.backward()
    halves = [leaves(a=0.2, b=1.0), leaves(a=0.6, b=2.0)]
    totals = [two.combine(half, shared={A: 0.4, B: 1.5}) for half in halves]
    (sum(totals, torch.zeros(())) / 2).backward()
    assert sum(t.item() for t in totals) / 2 == pytest.approx(total.item(), rel=1e-5)
    for task, loss in whole.items():
        assert loss.grad is not None
        for half in halves:  # a half counts half, and every worker decides the same
            assert half[task].grad.item() == pytest.approx(loss.grad.item() / 2, rel=1e-5)
    for mine, theirs in zip(one.parameters(), two.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_step_without_a_task_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="at least one task"):
        make("fixed").combine({})


def test_fixed_is_the_weighted_sum() -> None:
    total = make("fixed").combine(leaves(a=0.5, b=2.0), weights={A: 1.0, B: 0.3})
    assert total.item() == pytest.approx(0.5 + 0.6)


def test_uncertainty_is_the_classification_form_of_kendall() -> None:
    balancer = make("uncertainty")
    (s_T,) = balancer.parameters()
    with torch.no_grad():
        s_T.copy_(torch.tensor([0.5, -1.0, 2.0]))
    losses = leaves(a=0.7, b=1.2)
    total = balancer.combine(losses)
    total.backward()
    sigma_squared = [math.exp(0.5), math.exp(-1.0)]
    expected = 0.7 / sigma_squared[0] + math.log(sigma_squared[0] ** 0.5)
    expected += 1.2 / sigma_squared[1] + math.log(sigma_squared[1] ** 0.5)
    assert total.item() == pytest.approx(expected, rel=1e-6)
    assert [v.grad.item() for v in losses.values()] == pytest.approx([1 / s for s in sigma_squared])
    # d/ds of exp(-s) L + s/2; the task that is absent from the step does not move.
    assert s_T.grad.tolist() == pytest.approx([-0.7 * math.exp(-0.5) + 0.5, -1.2 * math.exp(1.0) + 0.5, 0.0])


def test_uncertainty_settles_where_a_task_weighs_half_over_its_loss() -> None:
    balancer = make("uncertainty")
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.2)
    for _ in range(300):
        optimizer.zero_grad()
        balancer.combine(leaves(a=0.25, b=2.0)).backward()
        optimizer.step()
    assert balancer.weights() == pytest.approx({A: 2.0, B: 0.25, C: 1.0}, rel=1e-3)


def test_dwa_follows_the_ratio_of_the_last_two_epochs() -> None:
    balancer = make("dwa")
    balancer.end_epoch({A: 2.0, B: 1.0, C: 1.0})
    assert balancer.weights() == {A: 1.0, B: 1.0, C: 1.0}
    balancer.end_epoch({A: 1.0, B: 0.9, C: 1.1})
    raised = [math.exp(r / 2.0) for r in (0.5, 0.9, 1.1)]
    expected = [3 * v / sum(raised) for v in raised]
    assert list(balancer.weights().values()) == pytest.approx(expected)
    assert list(gradients(balancer, leaves(a=1.0, b=1.0, c=1.0)).values()) == pytest.approx(expected)
    balancer.end_epoch({A: 1.0, B: 0.9, C: 1.1})  # nothing moved: all ratios are 1
    assert list(balancer.weights().values()) == pytest.approx([1, 1, 1])


def test_dwa_keeps_what_it_knows_of_a_resting_task() -> None:
    balancer = make("dwa")
    balancer.end_epoch({A: 2.0, B: 1.0})
    balancer.end_epoch({A: 1.0, B: 0.9})
    known = balancer.weights()
    assert known[C] == 1
    assert known[A] + known[B] == pytest.approx(2)
    balancer.end_epoch({B: 0.81})
    assert balancer.weights() == pytest.approx(known)


def test_famo_descends_the_weighted_log_losses() -> None:
    values = {A: 0.5, B: 2.0, C: 0.8}
    balancer = make("famo")
    losses = leaves(a=0.5, b=2.0, c=0.8)
    total = balancer.combine(losses)
    total.backward()
    c = 1 / sum(1 / 3 / (v + FLOOR) for v in values.values())
    assert total.item() == pytest.approx(c * sum(1 / 3 * math.log(v + FLOOR) for v in values.values()), rel=1e-5)
    found = [loss.grad.item() for loss in losses.values()]
    assert found == pytest.approx([c / 3 / (v + FLOOR) for v in values.values()], rel=1e-5)
    assert sum(found) == pytest.approx(1, rel=1e-5)  # an average of the tasks' gradients


def test_famo_moves_its_logits_by_adam_along_the_softmax_jacobian() -> None:
    balancer = make("famo")
    w_T = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([w_T], lr=0.025, weight_decay=DECAY)
    rounds = [([1.0, 1.0, 1.0], [0.9, 0.5, 1.0]), ([0.9, 0.5, 1.0], [0.8, 0.5, 1.1])]
    for before, after in rounds:
        fall_T = (torch.tensor(before) + FLOOR).double().log() - (torch.tensor(after) + FLOOR).double().log()
        adam.zero_grad()
        (w_T.softmax(0) @ fall_T).backward()  # (dz/dw)^T d
        adam.step()
        balancer.after_step(dict(zip(TASKS, before, strict=True)), dict(zip(TASKS, after, strict=True)))
    expected = w_T.softmax(0)
    assert list(balancer.weights().values()) == pytest.approx(expected.tolist(), rel=1e-6)
    assert balancer.weights()[B] < balancer.weights()[A] < balancer.weights()[C]


def test_famo_over_one_dataset_a_step_adds_up_to_its_gradient_over_all() -> None:
    """(dz/dw)^T d is linear in d: the gradients of two steps, each blind to the other's tasks, sum to the paper's."""
    parts = []
    for fell in ({A: 0.9, B: 0.5}, {C: 0.7}, {A: 0.9, B: 0.5, C: 0.7}):
        balancer = make("famo")
        balancer.after_step(dict.fromkeys(fell, 1.0), fell)
        parts.append(balancer.state_dict()["adam"]["exp_avg"])
    torch.testing.assert_close(parts[0] + parts[1], parts[2])


def test_famo_weighs_datasets_against_each_other() -> None:
    """The dataset whose losses never fall gains weight over the one whose losses do, though no step holds both."""
    balancer = make("famo")
    for _ in range(20):
        balancer.after_step({A: 1.0, B: 1.0}, {A: 0.9, B: 0.9})
        balancer.after_step({C: 1.0}, {C: 1.0})
    easy = gradients(balancer, leaves(a=1.0, b=1.0))
    hard = gradients(balancer, leaves(c=1.0))
    assert hard[C] > 1.2 * (easy[A] + easy[B])


def test_famo_leaves_resting_tasks_out_until_they_return() -> None:
    balancer = make("famo")
    balancer.end_epoch({A: 1.0, B: 1.0})
    assert balancer.weights() == pytest.approx({A: 0.5, B: 0.5, C: 0.0})
    assert sum(gradients(balancer, leaves(a=0.3, b=0.8)).values()) == pytest.approx(1, rel=1e-5)
    balancer.combine(leaves(c=1.0))
    assert balancer.weights() == pytest.approx({A: 1 / 3, B: 1 / 3, C: 1 / 3})


def test_famo_without_the_losses_after_the_update_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="after the update"):
        make("famo").after_step({A: 1.0}, None)
