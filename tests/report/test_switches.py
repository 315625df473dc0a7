"""The table of settings of two values tells what each brings, with intervals, whatever dataset was trained."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from raytune_planes.records import End, TrialRecord
from raytune_planes.report import switches
from raytune_planes.report.figure import Missing
from raytune_planes.report.search_section import search_section
from tests.report.test_search import study
from tests.tracking.studies import ended, epoch, trial

EDGES, COPIES = "datasets.fgvc.augment.edges", "split.unique"
SPACE = f"""about: Which?
objectives: [val/fgvc/accuracy]
search:
  {EDGES}: {{choice: [0.0, 0.6]}}
  {COPIES}: {{choice: [false, true]}}
  optim.lr: {{float: [0.001, 0.1]}}
"""


def trials(*more: TrialRecord) -> list[TrialRecord]:
    """Edges take 0.10, leaving out copies brings 0.04, and each training has a chance of its own."""
    out = []
    chance = (0.003, -0.002, -0.004, 0.003)
    for n, (edges, unique) in enumerate(itertools.product((0.0, 0.6), (False, True))):
        value = 0.5 - 0.10 * (edges > 0) + 0.04 * unique + chance[n]
        record = trial(n, {EDGES: edges, COPIES: unique, "optim.lr": 0.01})
        out.append(ended(record, End.COMPLETED, "done", epoch(1, value)))
    return [*out, *more]


def of(*more: TrialRecord) -> dict[str, switches.Effect]:
    found = switches.effects(study(*trials(*more), space=SPACE, searched=(EDGES, COPIES, "optim.lr")))
    return {each.path: each for each in found if each.metric == "val/fgvc/accuracy"}


def test_each_switch_has_its_change_and_an_interval_that_holds_the_truth() -> None:
    found = of()
    assert set(found) == {EDGES, COPIES}, "a setting of many values is no switch"
    edges, copies = found[EDGES], found[COPIES]
    assert edges.values == ("0", "0.6")
    assert copies.values == ("false", "true")
    assert edges.change == pytest.approx(edges.means[1] - edges.means[0]), "a whole grid is balanced"
    assert abs(edges.change + 0.10) <= edges.half
    assert abs(copies.change - 0.04) <= copies.half
    assert edges.trials == 4


def test_the_same_settings_again_and_trials_that_were_stopped_count_no_second_time() -> None:
    again = ended(trial(4, {EDGES: 0.6, COPIES: True, "optim.lr": 0.01}), End.COMPLETED, "done", epoch(1, 0.9))
    pruned = ended(trial(5, {EDGES: 0.0, COPIES: True, "optim.lr": 0.01}), End.PRUNED, "rung", epoch(1, 0.0))
    assert of(again, pruned) == of()


def test_the_effect_and_its_interval_are_those_of_a_line_through_the_points() -> None:
    rng = np.random.default_rng(0)
    coded_N = np.array([0, 1, 1, 0, 1, 0, 0, 1, 1], float)
    value_N = 0.3 + 0.2 * coded_N + rng.normal(0, 0.05, len(coded_N))
    change_K, half_K = switches.fitted(coded_N[:, None], value_N)
    line = stats.linregress(coded_N, value_N)
    assert change_K[0] == pytest.approx(line.slope)
    assert half_K[0] == pytest.approx(stats.t.ppf(0.975, len(value_N) - 2) * line.stderr)


def test_what_cannot_be_told_apart_has_no_number() -> None:
    always_together = np.array([[0, 0], [1, 1], [0, 0], [1, 1]], float)
    change_K, half_K = switches.fitted(always_together, np.arange(4.0))
    assert np.isnan(change_K).all()
    assert np.isnan(half_K).all()
    change_K, half_K = switches.fitted(np.array([[0, 0], [1, 0], [0, 1]], float), np.array([0.1, 0.2, 0.4]))
    assert change_K == pytest.approx([0.1, 0.3])
    assert all(map(math.isnan, half_K)), "as many unknowns as trials"


def test_the_report_has_the_table_and_says_how_it_is_made() -> None:
    asked = study(*trials(), space=SPACE, searched=(EDGES, COPIES, "optim.lr"))
    section = search_section(asked, Missing("too few trials"))
    table = next(t for t in section.tables if t.header[0] == "setting")
    assert [row[:3] for row in table.rows if row[2] == "val/fgvc/accuracy"] == [
        (EDGES, "0 → 0.6", "val/fgvc/accuracy"),
        (COPIES, "false → true", "val/fgvc/accuracy"),
    ]
    assert all(row[6].startswith("± ") for row in table.rows)
    assert switches.METHOD in section.text
    assert switches.METHOD not in search_section(study(*trials()), Missing("too few trials")).text
