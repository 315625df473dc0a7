"""A tuner in a process of its own: what it asks for, stops and promotes reaches the simulation, and its end is told."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.apart import FOLDER, Apart
from tests.benchmarks.lcbench import EPOCHS, course
from tests.benchmarks.tables import Missing
from tests.benchmarks.test_benchmarks import Hill
from tests.oracle.simulator import simulate

PROMOTES = """
import sys
sys.path.insert(0, sys.argv[1])
from lines import serve

class Promotes:
    '''Two trials stop at the first rung; the better one is asked for again, then a third.'''
    def __init__(self, seed, dimensions, first, reduction, epochs):
        print("what a package prints is no answer")
        self.rates = {"a": 0.01 + seed / 1000, "b": 0.001, "c": 0.1}
        self.low = {name: low for name, kind, low, high, log in dimensions}
        self.until, self.ended, self.todo = first, {}, ["a", "b"]
    def ask(self):
        if not self.todo:
            self.todo, self.until = [max(self.ended, key=self.ended.get), "c"], 99
        name = self.todo.pop(0)
        return name, {**self.low, "learning_rate": self.rates[name]}
    def report(self, name, epoch, value, final):
        return epoch >= self.until
    def tell(self, name, epoch, value, over):
        self.ended[name] = value
        assert over == (epoch == 52)

serve(Promotes)
"""


def test_a_search_in_a_process_of_its_own_goes_on_with_what_it_promotes(tmp_path: Path) -> None:
    (tmp_path / "promotes.py").write_text(PROMOTES, encoding="utf-8")
    search = Apart(3, str(tmp_path / "promotes.py"), str(FOLDER), runner=(sys.executable,))
    moments = list(simulate(search, course(Hill(), ""), workers=1, seconds=2.0 * (5 + EPOCHS)))
    assert [(m.trial.trial_id, m.trial.number, m.trial.epochs[-1].epoch) for m in moments] == [
        *[("a", 0, epoch) for epoch in range(1, 6)],
        *[("b", 1, epoch) for epoch in range(1, 6)],
        *[("a", 0, epoch) for epoch in range(6, EPOCHS + 1)],
    ]
    assert moments[0].trial.drawn["learning_rate"] == pytest.approx(0.013)


def test_a_script_that_cannot_begin_is_missing(tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text("raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(Missing, match=r"fails\.py has ended with 3"):
        Apart(0, str(tmp_path / "fails.py"), runner=(sys.executable,))
