"""Idle processes of a study: as many wait as there are places, none is left."""

from ray.tune.execution import tune_controller
from ray.tune.utils.object_cache import _ObjectCache

from raytune_planes.tuning.idle import IdleProcesses, kept

ALIKE, OTHER = "1 CPU", "1 CPU and 1 GPU"


def ended_together(cache: _ObjectCache, how_many: int) -> list[bool]:
    """Which of the processes of trials that end at one moment are kept."""
    return [cache.cache_object(ALIKE, f"process {i}") for i in range(how_many)]


def test_tune_alone_keeps_one_process_of_trials_that_end_together() -> None:
    assert ended_together(_ObjectCache(may_keep_one=True), 3) == [True, False, False]


def test_as_many_are_kept_as_there_are_places() -> None:
    cache = IdleProcesses(places=2)
    assert ended_together(cache, 3) == [True, True, False]
    assert list(cache.flush_cached_objects()) == []
    assert cache.num_cached_objects == 2


def test_pending_trials_may_keep_more() -> None:
    cache = IdleProcesses(places=1)
    cache.increase_max(ALIKE, by=3)
    assert ended_together(cache, 4) == [True, True, True, False]
    cache.decrease_max(ALIKE, by=3)
    assert list(cache.flush_cached_objects()) == ["process 0", "process 1"]


def test_a_kept_process_is_given_once() -> None:
    cache = IdleProcesses(places=2)
    ended_together(cache, 2)
    assert [cache.pop_cached_object(ALIKE) for _ in range(3)] == ["process 0", "process 1", None]
    assert cache.num_cached_objects == 0


def test_all_go_at_the_end() -> None:
    cache = IdleProcesses(places=2)
    ended_together(cache, 2)
    cache.cache_object(OTHER, "another")
    assert sorted(cache.flush_cached_objects(force_all=True)) == ["another", "process 0", "process 1"]
    assert cache.num_cached_objects == 0


def test_tune_has_its_own_again_afterwards() -> None:
    own = tune_controller._ObjectCache
    with kept(2):
        cache = tune_controller._ObjectCache(may_keep_one=True)
        assert ended_together(cache, 3) == [True, True, False]
    assert tune_controller._ObjectCache is own
