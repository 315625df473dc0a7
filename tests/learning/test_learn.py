"""What a study takes over from earlier ones: from which, which configurations, and when nothing at all."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from raytune_planes.floors import Relative
from raytune_planes.learning import learn
from raytune_planes.learning.ranking import common_goal, quantiles
from raytune_planes.records import End, EpochRecord, Goal, Objective
from raytune_planes.space import Dimension
from raytune_planes.tracking import DataDescription
from raytune_planes.tracking.learnt import NOTHING, Learnt
from tests.learning.past import (
    DATA,
    FGVC,
    IOU,
    LR,
    OTHER,
    PLANES,
    WEIGHT,
    a_space,
    a_study,
    hill,
    present,
    shuffled,
    trials_of,
)

WARM = a_space(Dimension("optim.warmup", "float", 0.0, 0.5))


def test_the_portfolio_begins_with_the_best_of_a_study_on_the_same_data() -> None:
    study = a_study()
    learnt, notes = learn(present(), [study])
    best = max(study.trials, key=lambda t: t.epochs[0].metrics[FGVC])
    assert notes == ()
    assert (learnt.portfolio[0].study, learnt.portfolio[0].trial) == ("old", best.number)
    assert learnt.portfolio[0].values == best.drawn
    assert list(learnt.numbers) == [1, 2, 3]  # a study of 20 trials has 3 candidates
    assert (learnt.sources[0].weight, learnt.sources[0].trials) == (1.0, 20)


def test_of_studies_with_unlike_bests_the_portfolio_holds_each() -> None:
    earlier = [a_study(f"at{lr}", lr, data=OTHER, count=40, seed=i) for i, lr in enumerate((0.003, 0.008, 0.02))]
    learnt, _ = learn(present(), earlier)
    assert {lesson.study for lesson in learnt.portfolio} == {"at0.003", "at0.008", "at0.02"}
    assert len(learnt.portfolio) == 4
    rates = [lesson.values["optim.lr"] for lesson in learnt.portfolio]
    assert max(rates) > 3 * min(rates)
    assert {s.weight for s in learnt.sources} == {0.6}  # other files of the same dataset, as many


def test_configurations_of_a_portfolio_differ_from_each_other_and_from_the_defaults() -> None:
    space = a_space(Dimension("optim.lr", "float", 1e-4, 1e-1, log=True))
    trials = trials_of(space, hill(0.01), count=30)
    alike = tuple(replace(t, drawn={"optim.lr": 0.01 + 1e-6 * t.number}) for t in trials[1:])
    learnt, _ = learn(present(space), [replace(a_study(), trials=(trials[0], *alike))])
    assert len(learnt.portfolio) == 1
    assert learnt.portfolio[0].values != space.first()


def test_a_configuration_that_says_no_more_than_the_defaults_is_not_tried_again() -> None:
    space = a_space(LR, Dimension("optim.warmup", "float", 0.0, 0.5))
    trials = list(trials_of(space, lambda _: {FGVC: 0.1}, count=8))
    for number, rate, accuracy in ((1, space.first()["optim.lr"], 0.9), (2, 0.01, 0.8)):
        drawn = {**trials[number].drawn, "optim.lr": rate}
        trials[number] = replace(trials[number], drawn=drawn, epochs=(EpochRecord(1, 10, 320, {FGVC: accuracy}),))
    learnt, _ = learn(present(a_space(LR, WEIGHT)), [replace(a_study(), trials=tuple(trials))])
    assert [lesson.values for lesson in learnt.portfolio] == [{"optim.lr": 0.01}]


def test_the_portfolio_is_at_most_half_of_the_trials_after_the_defaults_and_follows_given_ones() -> None:
    study = a_study(count=60)
    assert len(learn(present(trials=41), [study])[0].portfolio) == 4
    assert len(learn(present(trials=5), [study])[0].portfolio) == 2
    assert learn(present(trials=2), [study])[0] == NOTHING
    assert list(learn(present(trials=41), [study], first=3)[0].numbers) == [3, 4, 5, 6]


@pytest.mark.parametrize("studies", [2, 4])
def test_nothing_is_learnt_from_results_that_were_shuffled(studies: int) -> None:
    earlier = [shuffled(a_study(f"s{i}", data=OTHER, count=40, seed=i), i) for i in range(studies)]
    learnt, notes = learn(present(), earlier)
    assert learnt == NOTHING
    assert "what did well in one of them did not in the others" in notes[-1]
    whole = [a_study(f"s{i}", data=OTHER, count=40, seed=i) for i in range(studies)]
    assert learn(present(), whole)[0].portfolio


@pytest.mark.parametrize(
    ("study", "why"),
    [
        (a_study(count=3), "3 trials with a result, and 4 are needed"),
        (a_study(end=End.FAILED), "0 trials with a result"),
        (replace(a_study(), trials=trials_of(a_space(), lambda _: {IOU: 0.5})), f"did not measure {FGVC}"),
        (replace(a_study(), trials=trials_of(WARM, lambda _: {FGVC: 0.1})), "varied none of the settings"),
        (a_study(**{"split.kind": "kfold"}), "its split.kind is 'kfold', not 'holdout'"),
        (a_study(plan="a, b"), "its plan is 'a, b', not ''"),
        (replace(a_study(), data={"planesnet": DataDescription("1", {"train": 9})}), "resembles this one too little"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_compared_is_left_out_with_its_reason(study: object, why: str) -> None:
    learnt, notes = learn(present(), [study])  # type: ignore[list-item]
    assert learnt == NOTHING
    assert why in notes[0]


def test_a_study_weighs_less_with_other_data_settings_and_dimensions() -> None:
    def weight(**more: object) -> float:
        study = {"data": DATA, "trials": a_study().trials, **more}
        return learn(present(), [replace(a_study(), **study)])[0].sources[0].weight  # type: ignore[arg-type]

    fewer = {"fgvc": DataDescription("beef", {"train": 25})}
    drawn_too = {"fgvc": DataDescription("beef", {"train": 400}, synthetic=True)}
    assert weight() == 1.0
    assert weight(data=OTHER) == 0.6
    assert weight(data=fewer) == 0.3  # a sixteenth of the pictures: half
    assert weight(data=drawn_too) == 0.3
    assert weight(data={**DATA, "hrplanes": OTHER["fgvc"]}) == 0.5
    assert weight(trials=a_study(**{"budget.epochs": 3}).trials) == 0.97
    assert weight(trials=trials_of(a_space(LR, WEIGHT), hill(0.01))) == 0.5  # two of four dimensions


def test_values_outside_of_the_present_ranges_are_moved_and_unknown_choices_are_left_to_the_sampler() -> None:
    narrow = a_space(
        Dimension("optim.lr", "float", 1e-4, 1e-3, log=True),
        Dimension("stopping.rule", "choice", choices=("none", "stop_and_go")),
        Dimension("stopping.trickle", "int", 0, 8, step=4, when={"stopping.rule": ("stop_and_go",)}),
        Dimension("optim.weight_decay", "float", 0.0, 0.1),
    )
    learnt, _ = learn(present(narrow), [a_study(best_lr=0.05)])
    values = [lesson.values for lesson in learnt.portfolio]
    assert values[0]["optim.lr"] == 1e-3
    assert all(v.get("stopping.rule", "none") == "none" for v in values)
    assert not any("stopping.trickle" in v or "optim.weight_decay" in v for v in values)


def test_trials_rank_as_best_orders_them_and_pruned_ones_by_how_long_they_lasted() -> None:
    goal = Goal((Objective(FGVC),), {PLANES: 0.9})
    trials = list(trials_of(a_space(), lambda _: {FGVC: 0.5, PLANES: 0.95}, count=5))
    trials[1] = replace(trials[1], epochs=(EpochRecord(1, 1, 10, {FGVC: 0.9, PLANES: 0.5}),))  # below the floor
    trials[2] = replace(trials[2], epochs=(EpochRecord(1, 1, 10, {FGVC: 0.7, PLANES: 0.95}),))
    trials[3] = replace(trials[3], end=End.PRUNED, epochs=(EpochRecord(1, 1, 10, {FGVC: 0.8, PLANES: 0.95}),))
    trials[4] = replace(trials[4], end=End.PRUNED, epochs=(EpochRecord(1, 1, 30, {FGVC: 0.1, PLANES: 0.95}),))
    assert quantiles(trials, goal) == {2: 0.0, 0: 0.25, 1: 0.5, 4: 0.75, 3: 1.0}


def test_floors_that_follow_a_reference_follow_that_of_the_earlier_study() -> None:
    goal = Goal((Objective(FGVC), Objective(IOU)), {PLANES: 0.99}, {PLANES: Relative("defaults", -0.01)})
    trials = trials_of(a_space(), hill(0.01))
    common = common_goal(goal, trials, {})
    assert common.objectives == (Objective(FGVC),)  # the other was not measured there
    assert common.floors == {PLANES: pytest.approx(trials[0].epochs[0].metrics[PLANES] - 0.01)}


def test_what_was_learnt_reads_back_as_it_was_written() -> None:
    learnt, _ = learn(present(), [a_study()])
    assert Learnt.from_json(asdict(learnt)) == learnt
    assert learnt.in_words == "trials 1 to 3 from old (20 trials, likeness 1.00 of 1)"


def test_packaged_studies_count_where_no_earlier_one_resembles_for_at_most_a_quarter_of_the_trials() -> None:
    packaged = [a_study("elsewhere", count=60, data=OTHER)]
    learnt, notes = learn(present(trials=8), [], packaged=packaged)
    assert (len(learnt.portfolio), learnt.packaged, notes) == (2, True, ())
    assert (
        learnt.in_words
        == "trials 1 to 2 from the packaged portfolio: 1 study, elsewhere (60 trials, likeness 0.60 of 1)"
    )
    assert len(learn(present(trials=40), [], packaged=packaged)[0].portfolio) == 4
    assert len(learn(present(trials=9), [], first=3, packaged=packaged)[0].portfolio) == 1
    assert learn(present(trials=3), [], packaged=packaged)[0] == NOTHING
    unlike = a_study("unlike", plan="a, b")
    assert learn(present(trials=8), [unlike], packaged=packaged)[0] == learnt


def test_packaged_studies_change_nothing_where_an_earlier_one_resembles() -> None:
    packaged = [a_study("elsewhere", 0.002, count=60, data=OTHER, seed=2)]
    own = a_study()
    assert learn(present(), [own], packaged=packaged) == learn(present(), [own])
    worse = replace(own, trials=(own.trials[0], *(replace(t, end=End.PRUNED) for t in own.trials[1:])))
    assert learn(present(), [worse], packaged=packaged) == learn(present(), [worse])
    assert "no complete trial beat the defaults there" in learn(present(), [worse], packaged=packaged)[1][0]


def test_a_study_that_no_packaged_one_resembles_learns_nothing_and_says_so() -> None:
    faint = a_study(data={**OTHER, **dict.fromkeys("abcdefg", OTHER["fgvc"])})  # weight 0.6 / 8
    learnt, notes = learn(present(), [], packaged=[a_study(plan="a, b"), faint])
    assert learnt == NOTHING
    assert notes == ("none of the 2 studies that come with this package resembles this one",)
