"""Search spaces: what is read, what is refused, and what can be drawn."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError
from raytune_planes.records import Goal, Objective
from raytune_planes.settings import defaults, epochs_in_all, flatten, make_config, nest
from raytune_planes.space import (
    AtRandom,
    Dimension,
    Given,
    Space,
    check,
    describe,
    load_space,
    packaged,
    problems,
    suggest,
    trial_config,
    with_base,
    with_fixed,
)
from raytune_planes.space.writing import to_yaml

SPACES = {name: load_space(name) for name in packaged()}
BASES = {name: flatten(make_config(space.fixed)) for name, space in SPACES.items()}
GOAL = "objectives: [{metric: val/fgvc/accuracy, mode: max}]\n"
SMALL = GOAL + "search:\n  optim.lr: {float: [1e-4, 1e-2], log: true}\n"


def written(folder: Path, text: str, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Space:
    return load_space(written(folder, text))


def dimension(folder: Path, line: str) -> Dimension:
    return loaded(folder, GOAL + f"search:\n  {line}\n").search[0]


def test_the_packaged_spaces_hold_the_five_of_the_design_and_one_for_anybodys_own_pictures() -> None:
    assert {"fgvc_capacity", "full", "own", "quick", "rebalance", "stopping"} <= set(packaged())


@pytest.mark.parametrize("name", sorted(set(packaged()) - {"own"}))
def test_a_packaged_space_lifts_fgvc_and_hrplanes_without_losing_planesnet(name: str) -> None:
    goal = SPACES[name].goal
    assert goal.objectives == (Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou"))
    assert goal.floors == {}
    kept = ("val/planesnet/accuracy", "val/hrplanes/iou", "val/fgvc/accuracy")
    floors = ("defaults - 0.02", *["defaults - 10 %"] * 2) if name == "quick" else ["defaults - 0.01"] * 3
    assert {key: str(floor) for key, floor in goal.relative.items()} == dict(zip(kept, floors, strict=True))


@pytest.mark.parametrize("setting", ["root", "clean", "reader"])
def test_which_pictures_there_are_is_not_searched(tmp_path: Path, setting: str) -> None:
    with pytest.raises(UserError, match=rf"datasets.fgvc.{setting} says which files there are"):
        loaded(tmp_path, GOAL + f"search:\n  datasets.fgvc.{setting}: {{choice: ['', fgvc]}}\n")


def test_folds_and_prompts_can_be_searched(tmp_path: Path) -> None:
    fold = dimension(tmp_path, "split.fold: {int: [0, 4]}")
    assert fold.values() == (0, 1, 2, 3, 4)
    assert dimension(tmp_path, "datasets.fgvc.prompt: {choice: ['', 'a {class}']}").choices == ("", "a {class}")


@pytest.mark.parametrize("name", packaged())
def test_all_trials_of_a_packaged_space_get_the_same_budget(name: str) -> None:
    assert not [d.path for d in SPACES[name].search if d.path.startswith("budget.")]


@given(name=st.sampled_from(packaged()), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_every_drawn_configuration_is_valid(name: str, seed: int) -> None:
    drawn = suggest(SPACES[name], AtRandom(seed))
    config = TrialConfig.model_validate(nest({**BASES[name], **drawn}))
    assert {path: flatten(config)[path] for path in drawn} == drawn


@given(name=st.sampled_from(packaged()), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_a_dimension_is_drawn_exactly_when_its_condition_holds(name: str, seed: int) -> None:
    drawn = suggest(SPACES[name], AtRandom(seed))
    for d in SPACES[name].search:
        holds = all(path in drawn and drawn[path] in allowed for path, allowed in d.when.items())
        assert (d.path in drawn) == holds
        assert not holds or d.contains(drawn[d.path])


@given(low=st.integers(1, 50), steps=st.integers(1, 5), step=st.integers(1, 4), log=st.booleans())
@settings(max_examples=30)
def test_both_ends_of_a_range_of_whole_numbers_are_drawn(low: int, steps: int, step: int, log: bool) -> None:
    high = low + steps * (1 if log else step)
    d = Dimension("optim.lr", "int", low, high, log, None if log else step)
    draw = AtRandom(seed=0)
    values = {d.draw(draw) for _ in range(400)}
    assert {low, high} <= values
    assert values == set(d.values())


def test_the_first_configuration_is_the_defaults_with_what_the_space_fixes() -> None:
    space = SPACES["quick"]
    assert trial_config(space, space.first()) == make_config(space.fixed)


def test_the_first_configuration_keeps_a_default_outside_the_range_and_the_table_says_so(tmp_path: Path) -> None:
    space = loaded(tmp_path, GOAL + "search:\n  optim.lr: {float: [0.1, 0.2]}\n")
    assert space.first() == {"optim.lr": 0.002}
    assert "0.002 (outside)" in describe(space)


def test_the_table_shows_range_default_condition_goal_and_limits() -> None:
    text = describe(SPACES["quick"])
    assert "max val/fgvc/accuracy; max val/hrplanes/iou; keep val/planesnet/accuracy >= defaults - 0.02" in text
    assert "0.0005 .. 0.01 (log)" in text
    assert "128 | 256 | 512" in text
    assert "datasets.fgvc.head.depth is 1 or 2" in text
    assert "budget.epochs = 6" in text
    assert "8 trials" in text


def test_numbers_that_yaml_reads_as_text_are_numbers(tmp_path: Path) -> None:
    text = GOAL.replace("]\n", "]\nfloors: {val/planesnet/accuracy: 9e-1}\nfixed: {optim.weight_decay: 1e-5}\n")
    text += "search:\n  optim.lr: {float: [1e-5, 1e-2], log: true}\n  optim.clip: {choice: [1e-1, 1]}\n"
    space = loaded(tmp_path, text + "study: {hours: 5e-1}\n")
    assert space.goal.floors == {"val/planesnet/accuracy": 0.9}
    assert space.fixed == {"optim.weight_decay": 1e-5}
    assert (space.search[0].low, space.search[0].high) == (1e-5, 1e-2)
    assert space.search[1].choices == (0.1, 1.0)
    assert space.study.hours == 0.5


def test_an_objective_without_a_mode_gets_the_one_of_its_metric(tmp_path: Path) -> None:
    space = loaded(tmp_path, "objectives: [val/fgvc/accuracy, val/hrplanes/loss]\n" + SMALL.split("\n", 1)[1])
    assert space.goal.objectives == (Objective("val/fgvc/accuracy", "max"), Objective("val/hrplanes/loss", "min"))


def test_a_dimension_stands_after_those_it_depends_on(tmp_path: Path) -> None:
    text = "search:\n  datasets.fgvc.head.width: {choice: [128, 256], when: {datasets.fgvc.head.depth: 1}}\n"
    space = loaded(tmp_path, GOAL + text + "  datasets.fgvc.head.depth: {int: [0, 1]}\n")
    assert [d.path for d in space.search] == ["datasets.fgvc.head.depth", "datasets.fgvc.head.width"]


def test_a_dataset_of_ones_own_can_be_searched(tmp_path: Path) -> None:
    text = "fixed: {datasets.mine.reader: fgvc}\nsearch:\n  datasets.mine.weight: {float: [0.5, 2]}\n"
    space = loaded(tmp_path, "objectives: [val/mine/accuracy]\n" + text)
    assert trial_config(space, {"datasets.mine.weight": 0.7}).datasets["mine"].weight == 0.7


def test_the_digest_is_of_what_gives_a_trial_its_meaning(tmp_path: Path) -> None:
    digest = loaded(tmp_path, SMALL).digest
    assert len(digest) == 64
    assert loaded(tmp_path, "about: other words\n" + SMALL.replace("1e-4", "0.0001")).digest == digest
    assert loaded(tmp_path, SMALL + "study: {trials: 3}\n").digest == digest
    assert loaded(tmp_path, SMALL.replace("1e-4", "1e-3")).digest != digest
    assert loaded(tmp_path, SMALL + "fixed: {budget.epochs: 3}\n").digest != digest
    assert loaded(tmp_path, SMALL + "floors: {val/planesnet/accuracy: 0.9}\n").digest != digest


def test_a_floor_that_follows_a_reference_is_read_written_and_part_of_the_digest(tmp_path: Path) -> None:
    text = SMALL + "floors: {val/planesnet/accuracy: defaults - 0.01, val/hrplanes/iou: alone - 5%}\n"
    space = loaded(tmp_path, text)
    assert space.goal.floors == {}
    assert {k: str(f) for k, f in space.goal.relative.items()} == {
        "val/planesnet/accuracy": "defaults - 0.01",
        "val/hrplanes/iou": "alone - 5 %",
    }
    assert "keep val/planesnet/accuracy >= defaults - 0.01" in describe(space)
    assert loaded(tmp_path, to_yaml(space)).digest == space.digest
    settled = replace(space, goal=space.goal.with_references({"val/planesnet/accuracy": 0.9}))
    assert settled.digest == space.digest, "a study goes on under the same space once its floors are known"
    assert loaded(tmp_path, text.replace("0.01", "0.02")).digest != space.digest


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("serach: {}\n" + SMALL, "no section 'serach'; did you mean 'search'"),
        (SMALL.replace("optim.lr", "optim.lrr"), "no setting 'optim.lrr'; did you mean 'optim.lr'"),
        (SMALL.replace("optim.lr", "datasets.fvgc.weight"), "no dataset 'fvgc'.*did you mean 'fgvc'"),
        (SMALL.replace("optim.lr", "optim"), "'optim' is a section"),
        (SMALL.replace("val/fgvc/accuracy", "val/fgvc/acuracy"), "no metric 'acuracy'.*did you mean 'accuracy'"),
        (SMALL.replace("val/fgvc/accuracy", "val/fvgc/accuracy"), "no dataset 'fvgc'.*did you mean 'fgvc'"),
        (SMALL.replace("val/fgvc/accuracy", "val/ships/accuracy"), "no dataset 'ships'.*there are: planesnet"),
        (SMALL.replace("val/fgvc/accuracy", "accuracy"), "no metric 'accuracy'; metrics are named val/"),
        (SMALL.replace("val/fgvc/accuracy", "test/fgvc/accuracy"), "not measured on the validation split"),
        (SMALL + "fixed: {datasets.fgvc.enabled: false}\n", "never measured: datasets.fgvc.enabled is false"),
        (
            SMALL.replace("fgvc/accuracy", "hrplanes/ap50"),
            r"'val/hrplanes/ap50' is not measured where losses.detection.weight is 0; keep it above 0",
        ),
        (SMALL.replace("mode: max", "mode: min"), "better when it is larger; its mode is max"),
        (SMALL.replace("mode: max", "mode: best"), "no mode 'best'; it is max or min"),
        (SMALL.replace("mode: max", "mod: max"), "objectives: .* is none; write"),
        (SMALL.replace("}]", "}, val/fgvc/accuracy]"), "val/fgvc/accuracy is listed twice"),
        (SMALL.split("\n", 1)[1], "objectives: none; give at least one"),
        (SMALL + "floors: {val/fgvc/loss: 0.5}\n", "better when it is smaller, so it can have no floor"),
        (SMALL + "floors: {val/planesnet/accuracy: 95}\n", "95 is outside"),
        (SMALL + "floors: {val/planesnet/accuracy: high}\n", "'high' is neither a number nor a floor like"),
        (SMALL + "floors: {val/planesnet/accuracy: defaults - 3}\n", "off its reference by more than a metric in"),
        (SMALL + "floors: {val/planesnet/acc: defaults}\n", "floors: no metric 'acc'"),
        (
            SMALL + "floors: {val/planesnet/accuracy: alone}\nfixed: {plan: 'a', stages.a.optim.lr: 0.1}\n",
            "needs a dataset trained alone, which a plan of stages has not",
        ),
        (
            SMALL + "floors: {val/fgvc/accuracy: alone}\n"
            "fixed: {datasets.planesnet.enabled: false, datasets.hrplanes.enabled: false}\n",
            "needs a dataset trained alone, and here there is one dataset: follow the defaults, or give a number",
        ),
        (SMALL + "floors: {val/planesnet/acc: 0.5}\n", "floors: no metric 'acc'"),
        (SMALL + "floors: 3\n", "floors: expected lines like"),
        (SMALL + "about: [1]\n", "about: .* is no text"),
        (SMALL + "fixed: {optim.lr: 0.1}\n", "stands under both fixed and search"),
        (SMALL + "fixed: {budget.epochs: 0}\n", "budget.epochs = 0"),
        (SMALL + "fixed: {budget.epoch: 1}\n", "no setting 'budget.epoch'; did you mean 'budget.epochs'"),
        (SMALL + "fixed: {stopping.rule: no}\n", "stopping.rule has the value false; YAML reads no, off"),
        (GOAL, "search: nothing to vary"),
        (SMALL.replace("1e-2", "2"), "optim.lr: 2 would be refused .*less than or equal to 1"),
        (SMALL.replace("1e-4", "0"), "logarithmic range needs a low end above 0"),
        (SMALL.replace("1e-2", "1e-5"), "low end 0.0001 is not below the high end 1e-05"),
        (SMALL.replace("1e-2", "big"), "expected two numbers"),
        (SMALL.replace("1e-2", ".inf"), "expected two numbers"),
        (SMALL.replace(", 1e-2", ""), "expected two numbers"),
        (SMALL.replace("true", "maybe"), "log is 'maybe'"),
        (SMALL.replace("true", "true, step: 0.1"), "log and step do not go together"),
        (SMALL.replace("log: true", "stepp: 0.1"), "no key 'stepp' beside float; did you mean 'step'"),
        (SMALL.replace("float:", "flot:"), "expected one of {float"),
        (SMALL.replace("{float: [1e-4, 1e-2], log: true}", "3"), "expected one of {float"),
    ],
)
def test_a_faulty_space_is_refused_with_a_reason(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optim.clip: {float: [0, 1], step: 0.3}", "steps of 0.3 from 0 do not reach 1"),
        ("optim.clip: {float: [0, 1], step: 0}", "step must be a number above 0"),
        ("budget.epochs: {int: [1, 9], step: 1.5}", "step must be a whole number above 0"),
        ("budget.epochs: {int: [1.5, 3]}", "expected two whole numbers"),
        ("budget.epochs: {float: [1, 3]}", "budget.epochs is a whole number: write {int"),
        ("stopping.rule: {float: [1, 3]}", "stopping.rule is no number: write {choice"),
        ("stopping.rule: {int: [1, 3]}", "stopping.rule is no number: write {choice"),
        ("datasets.fgvc.box_margin: {float: [0, 0.5]}", "box_margin decides what is decoded .*: write {choice"),
        ("datasets.fgvc.decoded_size: {choice: [48, 96]}", "decoded_size: 48 would be refused .*at least 64"),
        ("stopping.rule: {choice: [stop]}", "expected two or more different values"),
        ("stopping.rule: {choice: [stop, stop]}", "expected two or more different values"),
        ("stopping.rule: {choice: stop}", "expected two or more different values"),
        ("stopping.rule: {choice: [[stop], none]}", "expected two or more different values"),
        ("stopping.rule: {choice: [no, stop]}", "has the value false; YAML reads no, off"),
        ("stopping.rule: {choice: [none, go]}", "stopping.rule: go would be refused"),
        ("stopping.rule: {choice: [none, stop], log: true}", "no key 'log' beside choice"),
        ("datasets.fgvc.head.depth: {int: [0, 4]}", "datasets.fgvc.head.depth: 4 would be refused"),
        ("model.dit.heads: {int: [1, 8]}", "model.dit.heads: 5, 7 would be refused .*does not divide"),
        ("optim.lr: {float: [0.1, 0.2], when: {}}", "when: expected {other.setting"),
        (
            "optim.lr: {float: [0.1, 0.2], when: {stopping.rule: [none]}}",
            "rule is not searched; put it under 'search' as",
        ),
        ("optim.lr: {float: [0.1, 0.2], when: {optim.lr: [0.1]}}", "optim.lr: when: the setting is its own condition"),
    ],
)
def test_a_faulty_dimension_is_refused_with_a_reason(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        dimension(tmp_path, line)


def test_a_condition_on_a_setting_that_is_not_searched_is_not_answered_with_the_dimension_itself(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError) as told:
        dimension(tmp_path, "datasets.fgvc.head.width: {int: [8, 16], when: {datasets.fgvc.head.depth: [1]}}")
    assert "datasets.fgvc.head.depth is not searched; put it under 'search' as well" in str(told.value)
    assert "did you mean" not in str(told.value)


def test_a_condition_is_not_answered_with_a_dimension_that_is_itself_mistyped(tmp_path: Path) -> None:
    text = SMALL.replace("optim.lr", "datasets.fgvc.head.deph") + (
        "  datasets.fgvc.head.width: {int: [8, 16], when: {datasets.fgvc.head.depth: [1]}}\n"
    )
    with pytest.raises(UserError) as told:
        loaded(tmp_path, text)
    assert "no setting 'datasets.fgvc.head.deph'; did you mean 'datasets.fgvc.head.depth'" in str(told.value)
    assert "datasets.fgvc.head.depth is not searched; put it under 'search' as well" in str(told.value)


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("budget.epochs: [1]", "when: budget.epochs is fixed, not searched"),
        ("optim.clip: [1]", "optim.clip is a range of real numbers"),
        ("stopping.rule: [stop_and_go]", "stopping.rule never is stop_and_go; it is none | stop"),
        ("stopping.rule: no", "YAML reads no, off"),
        ("stopping.rule: []", "empty list"),
        ("stoping.rule: [none]", "not searched; did you mean 'stopping.rule'"),
    ],
)
def test_a_condition_must_be_one_that_can_hold(tmp_path: Path, condition: str, message: str) -> None:
    text = SMALL.replace("log: true", f"when: {{{condition}}}")
    text += "  stopping.rule: {choice: [none, stop]}\n  optim.clip: {float: [0, 1]}\nfixed: {budget.epochs: 2}\n"
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, text)


def test_values_that_fit_alone_but_not_together_are_found(tmp_path: Path) -> None:
    text = "search:\n  model.backbone.width: {choice: [24, 32]}\n  model.dit.heads: {choice: [4, 6]}\n"
    with pytest.raises(UserError, match=r"not together: model.dit.heads = 6 does not divide the grid's 128"):
        loaded(tmp_path, GOAL + text)


@pytest.mark.parametrize(
    "search",
    [
        # Only a network of another library takes weights, or lets them be frozen; trial 0 has our own.
        "model.backbone.kind: {choice: [residual, resnet18]}\n"
        "  model.backbone.weights: {choice: [random, imagenet], when: {model.backbone.kind: resnet18}}\n"
        "  model.backbone.freeze: {choice: [false, true], when: {model.backbone.weights: imagenet}}\n",
        # Width 48 is 192 channels in the grid, which 3 heads divide; trial 0's 128 they do not.
        "model.backbone.width: {choice: [32, 48]}\n"
        "  model.dit.heads: {choice: [3, 6, 12], when: {model.backbone.width: 48}}\n",
        # The same without a condition: 3 does not divide 128, which is never drawn.
        "model.backbone.width: {choice: [24, 48]}\n  model.dit.heads: {choice: [3, 6]}\n",
        "balancing.rule: {choice: [fixed, famo]}\n  optim.accumulate: {int: [1, 4], when: {balancing.rule: fixed}}\n",
        "split.folds: {choice: [3, 7]}\n  split.fold: {int: [4, 6], when: {split.folds: 7}}\n",
    ],
)
def test_what_is_valid_under_its_condition_is_accepted(tmp_path: Path, search: str) -> None:
    space = loaded(tmp_path, GOAL + f"search:\n  {search}")
    base = flatten(make_config(space.fixed))
    for seed in range(40):
        drawn = suggest(space, AtRandom(seed))
        TrialConfig.model_validate(nest({**base, **drawn}))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        (
            "model.backbone.kind: {choice: [residual, resnet18]}\n"
            "  model.backbone.weights: {choice: [random, imagenet], when: {model.backbone.kind: residual}}\n",
            r"model.backbone.weights: imagenet would be refused \(model.backbone.weights = 'imagenet' is for networks",
        ),
        (
            "model.backbone.kind: {choice: [residual, resnet18]}\n"
            "  model.backbone.weights: {choice: [random, imagenet]}\n",
            "not together: model.backbone.weights = 'imagenet' is for networks with pretrained weights",
        ),
        (  # valid beside trial 0's 5 folds, but drawn only beside 3
            "split.folds: {choice: [3, 5]}\n  split.fold: {choice: [1, 4], when: {split.folds: 3}}\n",
            r"split.fold: 4 would be refused \(split.fold = 4: the 3 folds",
        ),
        (
            "stopping.rule: {choice: [none, stop]}\n"
            "  optim.clip: {choice: [0, 1], when: {stopping.rule: none}}\n"
            "  optim.lr: {float: [0.1, 0.2], when: {stopping.rule: stop, optim.clip: 1}}\n",
            "optim.lr: when: its conditions never hold together",
        ),
        (
            "datasets.fgvc.enabled: {choice: [false, true]}\n",
            "a trial could not be judged: 'val/fgvc/accuracy' is never measured: datasets.fgvc.enabled is false",
        ),
        (  # one of 4 x 8 x 8 x 5 configurations
            "split.folds: {int: [5, 8]}\n  split.fold: {int: [0, 7]}\n"
            "  optim.accumulate: {int: [1, 8]}\n  budget.epochs: {int: [1, 5]}\n",
            "not together: split.fold = [567]: the [567] folds",
        ),
    ],
)
def test_what_is_invalid_where_it_is_drawn_is_refused(tmp_path: Path, search: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, GOAL + f"search:\n  {search}")


RULED = {
    "model.backbone.kind": ("residual", "resnet18", "clip"),
    "model.backbone.weights": ("random", "imagenet"),
    "model.backbone.freeze": (False, True),
    "model.backbone.width": (24, 32, 40, 48),
    "model.dit.heads": (3, 4, 8, 10),
    "balancing.rule": ("fixed", "famo"),
    "optim.accumulate": (1, 2),
    "split.folds": (3, 5),
    "split.fold": (0, 2, 4),
}
"""Settings that have rules between them, with values on both sides of each."""


@st.composite
def ruled_spaces(draw: st.DrawFn) -> Space:
    """Choices of ruled settings, each under a condition on one before it or under none."""
    paths = draw(st.lists(st.sampled_from(sorted(RULED)), min_size=1, max_size=4, unique=True))
    search: list[Dimension] = []
    for path in paths:
        choices = draw(st.lists(st.sampled_from(RULED[path]), min_size=2, max_size=4, unique=True))
        parent = draw(st.sampled_from([None, *search]))
        when = {} if parent is None else {parent.path: (draw(st.sampled_from(parent.choices)),)}
        search.append(Dimension(path, "choice", choices=tuple(choices), when=when))
    goal = Goal((Objective("val/fgvc/accuracy", "max"),), {})
    return Space("drawn", "", goal, {}, tuple(search))


def drawable(space: Space) -> list[dict[str, object]]:
    """Every configuration of a space of choices, by each combination of values as the search would draw it."""
    found: dict[str, dict[str, object]] = {}
    for values in itertools.product(*(d.choices for d in space.search)):
        drawn = suggest(space, Given(dict(zip((d.path for d in space.search), values, strict=True))))
        found[repr(drawn)] = dict(drawn)
    return list(found.values())


@given(ruled_spaces())
@settings(max_examples=150, deadline=None)
def test_a_space_is_accepted_exactly_when_every_configuration_that_it_can_draw_is_valid(space: Space) -> None:
    valid = True
    for drawn in drawable(space):
        try:
            make_config(drawn)
        except UserError:
            valid = False
    event("valid" if valid else "invalid")
    assert (list(problems(space)) == []) == valid


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        loaded(tmp_path, SMALL.replace("optim.lr", "optim.lrr") + "fixed: {optim.foo: 1}\nfloors: {x: 1}\nserch: 1\n")
    assert str(refused.value).count("\n  - ") == 4


def test_faults_of_the_fixed_settings_are_named_together_and_hide_no_dataset(tmp_path: Path) -> None:
    text = """
objectives: [{metric: val/mine/accuracy}, {metric: val/fgvc/accuracy}]
fixed: {datasets.mine.reader: image_folder, datasets.mine.rot: DIR, budget.epochs: twelve}
search: {optim.lr: {float: [1e-4, 1e-2]}}
"""
    with pytest.raises(UserError) as told:
        loaded(tmp_path, text)
    assert str(told.value).splitlines()[1:] == [
        "  - fixed: no setting 'datasets.mine.rot'; did you mean 'datasets.mine.root'?",
        "  - fixed: budget.epochs = 'twelve': input should be a valid integer, unable to parse string as an integer",
    ]


def test_a_space_is_written_with_whole_numbers_where_its_settings_are_whole(tmp_path: Path) -> None:
    space = loaded(tmp_path, GOAL + "search:\n  budget.epochs: {int: [2, 8], step: 2}\n")
    assert "  budget.epochs:\n    int:\n    - 2\n    - 8\n    step: 2\n" in to_yaml(space)
    assert loaded(tmp_path, to_yaml(space)).digest == space.digest


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("{trails: 5}", "study: no setting 'trails'; did you mean 'trials'"),
        ("{rungs: {grase: 0.5}}", "study: no setting 'rungs.grase'; did you mean 'grace'"),
        ("{sampler: grid}", "study: sampler = 'grid'"),
        ("{trials: 0}", "study: trials = 0"),
        ("{hours: -1}", "study: hours = -1"),
        ("{rungs: {reduction: 1}}", "study: rungs.reduction = 1"),
    ],
)
def test_faulty_study_settings_are_refused(tmp_path: Path, part: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, SMALL + f"study: {part}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL + "  optim.lr: {float: [0.1, 0.2]}\n", "line 4: 'optim.lr' occurs here and in line 3"),
        ("search: {a: 1}\n" + SMALL, "'search' occurs here and in line 1"),
        ("a: &x [1]\nb: *x\n", "line 2: an alias"),
        ("a: " + "[" * 50 + "]" * 50, "more than 8 levels"),
        ("about: " + "x" * 300_000, "larger than 200,000 bytes"),
        ("- 1\n", "holds no search space"),
        ("", "search space .*mine.yaml holds no search space"),
        ("a: [", r"mine.yaml cannot be read as YAML: line 1, column 5 \('a: \['\): "),
        ("a:\n  b: 1\n c: 2\n", r"YAML: line 3, column 2 \(' c: 2'\): expected <block end>.*; look at indentation"),
        ("about: 2024-13-45", "cannot be read as YAML"),
        ("a: !!python/object:os.system {}", "cannot be read as YAML"),
    ],
)
def test_what_is_no_plain_yaml_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, text)


def test_a_misspelt_space_is_told_with_a_suggestion() -> None:
    with pytest.raises(UserError, match=r"no search space 'quik'; did you mean 'quick'.*there are: augment"):
        load_space("quik")
    with pytest.raises(UserError, match=r"no search space ./nowhere.yaml; .* one of: augment"):
        load_space("./nowhere.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        load_space(path)


def test_a_packaged_space_is_found_from_any_folder_even_one_that_holds_its_namesake(tmp_path: Path) -> None:
    (tmp_path / "search_spaces").mkdir()
    written(tmp_path / "search_spaces", "nonsense", "quick.yaml")
    code = "from raytune_planes.space import load_space; print(load_space('quick').digest)"
    root = Path(__file__).resolve().parents[1]
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == SPACES["quick"].digest


def test_setting_a_searched_path_removes_its_dimension_and_resolves_conditions() -> None:
    space = SPACES["stopping"]
    stop = with_fixed(space, {"stopping.rule": "stop"})
    assert {d.path for d in space.search} - {d.path for d in stop.search} == {
        "stopping.rule",
        "stopping.trickle",
        "datasets.planesnet.stop.margin",
        "datasets.hrplanes.stop.margin",
    }
    assert not any(d.when for d in stop.search)
    assert stop.fixed["stopping.rule"] == "stop"
    assert stop.digest != space.digest
    check(stop)
    assert [d.path for d in with_fixed(space, {"stopping.rule": "none"}).search] == ["datasets.fgvc.share"]


@given(name=st.sampled_from(packaged()), seed=st.integers(0, 2**32), data=st.data())
@settings(max_examples=15, deadline=None)
def test_a_fixed_setting_has_its_value_in_every_trial(name: str, seed: int, data: st.DataObject) -> None:
    space = SPACES[name]
    path = data.draw(st.sampled_from([d.path for d in space.search]))
    dimension = space.dimension(path)
    assert dimension is not None
    value = data.draw(st.sampled_from(dimension.values()))
    fixed = with_fixed(space, {**_conditions(space, dimension), path: value})
    drawn = suggest(fixed, AtRandom(seed))
    assert path not in drawn
    assert flatten(trial_config(fixed, drawn))[path] == value


def _conditions(space: Space, dimension: Dimension) -> dict[str, object]:
    """Values under which ``dimension`` is drawn: a value may be valid only there."""
    found: dict[str, object] = {}
    for path, allowed in dimension.when.items():
        other = space.dimension(path)
        assert other is not None
        found |= {**_conditions(space, other), path: allowed[0]}
    return found


def test_fixing_what_does_not_exist_or_all_there_is_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"--set: no setting 'optim.lrr'"):
        with_fixed(SPACES["quick"], {"optim.lrr": 1})
    with pytest.raises(UserError, match="nothing is left to search"):
        with_fixed(loaded(tmp_path, SMALL), {"optim.lr": 0.1})


def test_a_base_configuration_moves_the_start_but_keeps_the_search() -> None:
    space = with_base(SPACES["quick"], defaults() | {"optim.lr": 0.005, "model.dit.depth": 2})
    assert [d.path for d in space.search] == [d.path for d in SPACES["quick"].search]
    assert space.first()["optim.lr"] == 0.005
    assert trial_config(space, {}).model.dit.depth == 2
    assert trial_config(space, {"optim.lr": 0.001}).optim.lr == 0.001
    assert with_fixed(space, {"optim.lr": 0.01}).first().get("optim.lr") is None


def test_check_sees_the_layers_above_the_fixed_settings() -> None:
    check(SPACES["quick"], {"seed": 1})
    with pytest.raises(UserError, match=r"search space quick: .*seed = -1"):
        check(SPACES["quick"], {"seed": -1})


def test_a_space_of_another_format_is_refused_with_the_way_out(tmp_path: Path) -> None:
    text = "objectives: [{metric: val/fgvc/accuracy}]\nsearch: {optim.lr: {float: [1e-4, 1e-2]}}\n"
    assert loaded(tmp_path, "format: 1\n" + text) == loaded(tmp_path, text)
    with pytest.raises(UserError, match=r"mine has search-space format 2, this version reads 1; use the version"):
        loaded(tmp_path, "format: 2\n" + text)


STAGED = """
objectives: [{metric: val/fgvc/accuracy}]
fixed: {plan: "together, last", stages.together.budget.epochs: 4, stages.last.budget.epochs: 2}
search: {stages.last.optim.lr: {float: [1e-4, 1e-2], log: true}}
"""


def test_a_setting_of_one_stage_is_searched_and_begins_at_the_value_of_the_rest(tmp_path: Path) -> None:
    space = loaded(tmp_path, STAGED)
    assert space.first() == {"stages.last.optim.lr": defaults()["optim.lr"]}
    drawn = suggest(space, AtRandom(1))
    (_, together), (_, last) = trial_config(space, drawn).staged
    assert last.optim.lr == drawn["stages.last.optim.lr"]
    assert together.optim.lr == defaults()["optim.lr"]
    assert (together.budget.epochs, last.budget.epochs) == (4, 2)
    assert epochs_in_all(flatten(trial_config(space, drawn))) == 6


def test_a_saved_configuration_with_stages_comes_back_equal(tmp_path: Path) -> None:
    config = trial_config(loaded(tmp_path, STAGED), {"stages.last.optim.lr": 0.003})
    assert make_config(flatten(config)) == config


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("last.optim.lr", "lost.optim.rl", r"stage 'lost': no setting 'optim\.rl'; did you mean 'optim\.lr'"),
        ("[1e-4, 1e-2]", "[1e-4, 5]", r"stages\.last\.optim\.lr: 5 would be refused"),
        ("last.optim.lr: {float: [1e-4, 1e-2], log: true}", "last.optim.kind: {choice: [sgd, adam]}", "adam would be"),
        ("last.budget.epochs: 2", "last.datasets.fgvc.enabled: false", "never measured: stages.last.datasets.fgvc.ena"),
        ("last.optim.lr: {float: [1e-4, 1e-2], log: true}", "last.split.fold: {int: [0, 3]}", "cannot change within"),
    ],
)
def test_a_faulty_setting_of_a_stage_is_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in STAGED
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, STAGED.replace(before, after))


def test_the_shape_of_pictures_can_be_searched(tmp_path: Path) -> None:
    lines = (
        "datasets.fgvc.image_size: {choice: [64, 96]}",
        "datasets.fgvc.decoded_size: {choice: [96, 128]}",
        "datasets.fgvc.fit: {choice: [squash, crop, pad]}",
        "datasets.fgvc.crop_to_box: {choice: [true, false]}",
        "datasets.fgvc.box_margin: {choice: [0.05, 0.2], when: {datasets.fgvc.crop_to_box: true}}",
        "datasets.fgvc.eval_crop: {float: [0.8, 1.0]}",
        "datasets.fgvc.view: {choice: [side, overhead]}",
        "datasets.fgvc.augment.crop_min: {float: [0.08, 1.0], log: true}",
        "datasets.fgvc.augment.crop_ratio: {float: [1.0, 2.0]}",
    )
    check(loaded(tmp_path, GOAL + "search:\n" + "".join(f"  {line}\n" for line in lines)))
