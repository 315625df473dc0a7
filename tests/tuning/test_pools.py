"""Which hosts train which trials, and how what fits nowhere is refused."""

from __future__ import annotations

from collections import Counter

import pytest

from raytune_planes.errors import UserError
from raytune_planes.tuning import pools
from raytune_planes.tuning.nodes import Node
from raytune_planes.tuning.pools import Needs, Pool, Pools, pools_of

LAPTOP = (Node(2, 0, "a"),)
FARM = (Node(4, 1, "a"), Node(4, 1, "b"), Node(1, 0, "c"))
LAB = (Node(0, 0, "head"), Node(8, 2, "g"), Node(4, 0, "c"), Node(4, 0, "d"))


def at_once(nodes: tuple[Node, ...], needs: Needs, asked: int | None = None) -> int:
    return Pools(needs, lambda: nodes, asked).at_once


def test_as_many_trials_run_as_fit() -> None:
    assert at_once(LAPTOP, Needs()) == 2
    assert at_once(LAPTOP, Needs(workers=2)) == 1
    assert at_once(FARM, Needs()) == 9, "without GPUs asked for, every host's processors train"
    assert at_once(FARM, Needs(gpus=0.5)) == 4
    assert at_once(FARM, Needs(workers=2, cpus=2)) == 2, "the third machine has no place for a worker of two CPUs"
    assert at_once(FARM, Needs(), 3) == 3


def test_each_kind_of_host_has_its_own_share() -> None:
    mixed = Needs(gpus=1.0, mixed=True)
    assert pools_of(LAB, mixed) == (Pool("gpu", 1.0, 2), Pool("cpu", 0.0, 8))
    assert pools_of(LAB, Needs(gpus=0.5, cpus=4, mixed=True)) == (Pool("gpu", 0.5, 2), Pool("cpu", 0.0, 2))
    assert pools_of(LAB, Needs(gpus=1.0)) == (Pool("gpu", 1.0, 2),)
    assert pools_of(LAB, Needs()) == (Pool("cpu", 0.0, 16),)
    assert pools_of(LAPTOP, mixed) == (Pool("cpu", 0.0, 2),)
    assert pools_of(LAB, Needs(cpus=4, gpus=4.0, mixed=True)) == (Pool("cpu", 0.0, 4),), "no host has four GPUs"
    assert str(Pools(mixed, lambda: LAB)) == "10 at a time (2 on GPU hosts, 8 on CPU hosts)"


def test_a_trial_takes_a_gpu_first_and_no_cpu_trial_goes_to_a_gpu_host() -> None:
    places = Pools(Needs(gpus=1.0, mixed=True), lambda: LAB)
    taken = [places.take(str(i)) for i in range(11)]
    assert taken[0] == {"name": "gpu", "gpus": 1.0, "card": True, "nccl": True, "labels": {}}
    assert taken[2] == {
        "name": "cpu",
        "gpus": 0.0,
        "card": False,
        "nccl": False,
        "labels": {"ray.io/node-id": "!in(g)"},
    }
    assert Counter(t["name"] for t in taken if t) == {"gpu": 2, "cpu": 8}
    assert taken[10] is None
    places.release("1")
    again = places.take("11")
    assert again is not None
    assert again["name"] == "gpu"


def test_after_a_lack_of_memory_later_trials_get_twice_the_share_of_a_card_until_each_has_a_whole_one() -> None:
    places = Pools(Needs(gpus=0.25), lambda: [Node(8, 1, "g")])
    first, second, *_ = [places.take(f"{i}") for i in range(4)]
    assert first is not None
    assert second is not None
    assert places.taught(first) == {"later_gpus": "0.5"}
    assert places.remember(places.taught(first)) == "later trials get 0.5 of a GPU each"
    assert places.taught(second) == {}, "it began with the same share"
    places.release("0")
    places.release("1")
    assert places.take("4") is None, "two trials still have a quarter each: as many as halves fit"
    places.release("2")
    third = places.take("4")
    assert third is not None
    assert third["gpus"] == 0.5
    places.release("3")
    assert places.take("5") is not None
    assert places.remember(places.taught(third)) == "later trials get 1 of a GPU each"
    for number in ("4", "5"):
        places.release(number)
    last = places.take("6")
    assert last is not None
    assert (last["gpus"], last["nccl"], places.taught(last)) == (1.0, True, {}), "there is no more to give"


def test_on_processors_one_trial_fewer_runs_at_once_for_each_number_that_lacked_memory() -> None:
    places = Pools(Needs(), lambda: [Node(3, 0, "c")])
    taken = [places.take(f"{i}") for i in range(3)]
    assert taken[0] is not None
    for _ in range(2):  # the second says no more than the first
        learnt = places.remember(places.taught(taken[0]))
    assert learnt == ""
    places.release("0")
    assert places.take("3") is None
    assert places.taught(taken[0]) == {"later_at_once": "1"}
    assert places.remember({"later_at_once": "1"}) == "from now on at most 1 trial at once runs on processors"
    places.release("1")
    assert places.taught(taken[0]) == {}, "one alone has all there is"


def test_workers_whose_shares_do_not_fit_twice_keep_what_they_have() -> None:
    places = Pools(Needs(workers=2, gpus=0.5), lambda: [Node(8, 1, "g")])
    taken = places.take("0")
    assert taken is not None
    assert places.taught(taken) == {}, "two workers with a card each need two"


def test_gpus_that_are_no_cards_are_not_joined_by_nccl() -> None:
    taken = Pools(Needs(gpus=1.0), lambda: [Node(4, 2, "g", has_card=False)]).take("a")
    assert taken is not None
    assert (taken["card"], taken["nccl"]) == (False, False)


def test_hosts_that_come_and_go_change_what_is_started() -> None:
    nodes = list(LAB)
    places = Pools(Needs(gpus=1.0, mixed=True), lambda: nodes)
    nodes.remove(Node(8, 2, "g"))
    taken = [places.take(str(i)) for i in range(9)]
    assert [t["name"] for t in taken if t] == ["cpu"] * 8


def test_hosts_that_do_not_see_the_results_are_left_out() -> None:
    places = Pools(Needs(gpus=1.0, mixed=True), lambda: LAB)
    places.avoid({"c"})
    assert (places.at_once, str(places)) == (6, "6 at a time (2 on GPU hosts, 4 on CPU hosts)")
    taken = [places.take(str(i)) for i in range(3)]
    assert [t["labels"] for t in taken if t] == [{"ray.io/node-id": "!in(c)"}] * 2 + [{"ray.io/node-id": "!in(c,g)"}]
    with pytest.raises(UserError, match="without 3 of its machines, a trial needs 1 CPU; the cluster has 0 CPUs"):
        places.avoid({"c", "d", "g"})


def test_a_study_that_no_host_can_go_on_with_ends_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    nodes = list(LAB)
    places = Pools(Needs(gpus=1.0, mixed=True), lambda: nodes)
    nodes.remove(Node(8, 2, "g"))
    places.check({"gpu"}, is_running=False)
    now += pools.GIVE_UP_S + 1
    places.check({"gpu", "cpu"}, is_running=False)  # one of them can start: the clock begins anew
    places.check({"gpu"}, is_running=False)
    now += pools.GIVE_UP_S + 1
    places.check({"gpu"}, is_running=True)
    places.check({"gpu"}, is_running=False)
    now += pools.GIVE_UP_S + 1
    with pytest.raises(KeyboardInterrupt, match="no host is left that could train: a trial needs 1 CPU"):
        places.check({"gpu"}, is_running=False)
    nodes.clear()
    places.check(set(), is_running=True)
    places.check(set(), is_running=False)
    now += pools.GIVE_UP_S + 1
    with pytest.raises(KeyboardInterrupt, match="no host is left"):
        places.check(set(), is_running=False)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (Needs(cpus=3), "a trial needs 3 CPUs; the cluster has 2 CPUs. Ask for less with --workers"),
        (Needs(workers=3), "a trial needs 3 workers x 1 CPU; the cluster has 2 CPUs"),
        (Needs(gpus=1.0), "a trial needs 1 CPU and 1 GPU; the cluster has 2 CPUs and 0 GPUs"),
    ],
)
def test_a_trial_that_fits_nowhere_is_refused(needs: Needs, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Pools(needs, lambda: LAPTOP)


def test_more_trials_at_once_than_fit_are_refused() -> None:
    with pytest.raises(UserError, match="3 trials at once need 1 CPU each; the cluster has 2 CPUs, enough for 2"):
        Pools(Needs(), lambda: LAPTOP, 3)


def test_the_largest_machine_is_told() -> None:
    with pytest.raises(UserError, match="the cluster has 9 CPUs on 3 machines, 4 CPUs on the largest"):
        Pools(Needs(cpus=8), lambda: FARM)
    with pytest.raises(UserError, match="16 CPUs and 2 GPUs on 4 machines, 8 CPUs and 2 GPUs on the largest"):
        Pools(Needs(gpus=3.0), lambda: LAB)


def test_whole_gpus_that_no_trial_can_take_are_named() -> None:
    card = Needs(gpus=1.0)
    assert Pools(card, lambda: FARM).idle_gpus == ""
    assert Pools(card, lambda: FARM, 1).idle_gpus == "; 1 of 2 GPUs was idle (1 trial took 1)"
    assert Pools(Needs(), lambda: FARM).idle_gpus == "; 2 of 2 GPUs were idle (--gpus-per-worker asks for none)"
    assert Pools(Needs(gpus=0.5, cpus=4), lambda: FARM).idle_gpus == "; 1 of 2 GPUs was idle (2 trials took 1)"
    assert Pools(Needs(), lambda: LAPTOP).idle_gpus == ""
