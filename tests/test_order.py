"""Two processes share the tests so that neither waits for the other."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.order import RayFirst

SLOW, SHARED = "pytest.mark.slow\n", 'fixture(scope="module")\n'
FILES = {
    "tests/commands/test_job.py": SLOW + SHARED,
    "tests/tuning/test_study.py": SLOW,
    "tests/tuning/test_plan.py": SHARED,
    "tests/training/test_loop.py": SLOW,
}
RAY = ("tests/commands/test_job.py", "tests/tuning/test_study.py")
TESTS = [f"{file}::test_{n}" for file in FILES for n in range(4)]


class Process:
    """Stands for a process of xdist: runs what it is sent, one test at each call of ``step``."""

    gateway = SimpleNamespace(id="a process")

    def __init__(self) -> None:
        self.waiting: list[int] = []
        self.done: list[str] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: list[int]) -> None:
        self.waiting += indices

    def shutdown(self) -> None:
        self.shutting_down = True

    def step(self, scheduler: RayFirst) -> None:
        # As xdist's worker: the last test that is known starts when no other will come.
        if len(self.waiting) > 1 or (self.waiting and self.shutting_down):
            index = self.waiting.pop(0)
            self.done.append(TESTS[index])
            scheduler.mark_test_complete(self, index)


@pytest.fixture
def scheduler(tmp_path: Path) -> RayFirst:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    option = SimpleNamespace(loadscopereorder=False)
    config: Any = SimpleNamespace(rootpath=tmp_path, option=option, getvalue=lambda _: ["popen", "popen"])
    return RayFirst(config)


def run(scheduler: RayFirst, steps: tuple[int, int]) -> list[Process]:
    """Two processes, of which each runs so many tests in a turn."""
    both = [Process(), Process()]
    for process in both:
        scheduler.add_node(process)
        scheduler.add_node_collection(process, TESTS)
    scheduler.schedule()
    while scheduler.has_pending:
        for process, count in zip(both, steps, strict=True):
            for _ in range(count):
                process.step(scheduler)
    return both


@pytest.mark.parametrize("steps", [(1, 1), (1, 5), (5, 1)])
def test_each_test_runs_once_and_a_file_whose_tests_share_something_in_one_process(
    scheduler: RayFirst, steps: tuple[int, int]
) -> None:
    both = run(scheduler, steps)
    assert Counter(both[0].done + both[1].done) == Counter(TESTS)
    for name, text in FILES.items():
        if SHARED in text:
            assert sum(any(test.startswith(name) for test in process.done) for process in both) == 1


def test_one_process_begins_with_ray_and_the_other_with_the_rest(scheduler: RayFirst) -> None:
    first, second = run(scheduler, (1, 1))
    assert [test.partition("::")[0] for test in first.done[:5]] == [RAY[0]] * 4 + [RAY[1]]
    assert all(test.startswith(RAY) for test in first.done)
    assert not any(test.startswith(RAY) for test in second.done[:8])


def test_the_process_that_is_done_with_the_rest_takes_tests_that_start_ray(scheduler: RayFirst) -> None:
    first, second = run(scheduler, (1, 5))
    assert len(first.done) < 8
    assert any(test.startswith(RAY[1]) for test in second.done)
