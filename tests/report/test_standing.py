"""Who takes the champion's place: no dataset beyond its interval, no lower score, and the same pictures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.report.confirmed import confirmed
from raytune_planes.report.standing import Standing, judge, standing
from raytune_planes.tracking import DataDescription, StudyStart

GOAL = Goal((Objective("val/fgvc/accuracy"), Objective("val/hrplanes/iou")), {"val/planesnet/accuracy": 0.5})
DATA = {name: DataDescription(f"f00d-{name}", {}) for name in ("fgvc", "hrplanes", "planesnet")}
START = StudyStart(name="one", goal=GOAL, data=DATA)
N = {"val/fgvc/images": 100.0, "val/hrplanes/scenes": 50.0, "val/hrplanes/images": 400.0, "val/planesnet/images": 100.0}
CONFIG = {"split.kind": "standard", "optim.lr": 0.1}


def model(fgvc: float, iou: float, planesnet: float, *, n: float = 100.0, **config: str) -> TrialRecord:
    metrics = {"val/fgvc/accuracy": fgvc, "val/fgvc/loss": 1.0, "val/hrplanes/iou": iou, "val/hrplanes/accuracy": 0.1}
    metrics |= {"val/planesnet/accuracy": planesnet, **N, "val/fgvc/images": n}
    return TrialRecord("t3", 3, {}, {**CONFIG, **config}, (EpochRecord(1, 1, 1, metrics),), End.COMPLETED)


def stand(fgvc: float, iou: float, planesnet: float, *, start: StudyStart = START, n: float = 100.0) -> Standing:
    return standing(start, model(fgvc, iou, planesnet, n=n), GOAL)


CHAMPION = stand(0.5, 0.5, 1.0)


def test_a_standing_holds_the_metric_of_each_dataset_with_wilsons_interval() -> None:
    """50 of 100: 0.4038 to 0.5962; all of 100: from n / (n + z²) = 0.9630."""
    found = CHAMPION.results["val"]
    assert sorted(found) == ["fgvc/accuracy", "hrplanes/iou", "planesnet/accuracy"], "what no one is judged by is left"
    assert (found["fgvc/accuracy"].low, found["fgvc/accuracy"].high) == pytest.approx((0.4038, 0.5962), abs=5e-5)
    assert (found["planesnet/accuracy"].low, found["planesnet/accuracy"].high) == pytest.approx((0.9630, 1), abs=5e-5)
    assert str(found["hrplanes/iou"].sample) == "50 scenes"
    assert Standing.from_tag(CHAMPION.to_tag()) == CHAMPION


def test_a_better_one_is_promoted() -> None:
    judged = judge(stand(0.6, 0.5, 1.0), CHAMPION, GOAL)
    assert (judged.promoted, judged.reason) == (
        True,
        "no dataset is worse by more than the interval, and its score 0.5500 is not below 0.5000",
    )


@pytest.mark.parametrize(("planesnet", "promoted"), [(0.97, True), (0.963, False), (0.9, False)])
def test_one_that_loses_a_dataset_beyond_its_interval_is_not(planesnet: float, promoted: bool) -> None:
    """The interval of 100 right of 100 begins at 0.96300: 0.97 lies within, 0.9629 does not."""
    mine = stand(0.9, 0.9, planesnet - (0.0001 if planesnet == 0.963 else 0.0))
    judged = judge(mine, CHAMPION, GOAL)
    assert judged.promoted is promoted
    if not promoted:
        assert judged.reason == "planesnet/accuracy is worse by more than the interval"
        line = judged.as_lines()[-1].split()
        assert line[:5] == ["planesnet/accuracy", f"{mine.results['val']['planesnet/accuracy'].mean:.4f}", "1.0000",
                            "[0.9630,", "1.0000]"]  # fmt: skip
        assert line[-1] == "worse"


def test_one_within_the_interval_is_promoted_if_its_score_is_not_lower() -> None:
    assert judge(stand(0.42, 0.6, 1.0), CHAMPION, GOAL).promoted
    judged = judge(stand(0.42, 0.5, 1.0), CHAMPION, GOAL)
    assert (judged.promoted, judged.reason) == (False, "its score 0.4600 is below 0.5000")


def test_a_champion_whose_metric_is_no_number_gives_way_and_that_is_said() -> None:
    diverged = Standing.from_tag(stand(math.nan, 0.5, 1.0).to_tag())
    assert diverged is not None
    judged = judge(stand(0.1, 0.5, 1.0), diverged, GOAL)
    assert judged.promoted
    assert judged.reason == (
        "no dataset is worse by more than the interval, and fgvc/accuracy of the champion is no number"
    )
    assert not judge(stand(0.1, 0.2, 1.0), diverged, GOAL).promoted, "hrplanes lies below the champion's interval"
    assert not judge(stand(math.nan, 0.5, 1.0), diverged, GOAL).promoted, "it has no score either"
    assert not judge(stand(math.nan, 0.5, 1.0), CHAMPION, GOAL).promoted


def test_under_another_goal_the_mean_over_the_datasets_decides() -> None:
    """What the new goal asks and the champion's version does not state cannot be compared."""
    goal = Goal((Objective("val/hrplanes/dice"),))
    judged = judge(stand(0.5, 0.5, 0.97), CHAMPION, goal)
    assert (judged.promoted, judged.reason) == (False, "its score 0.6567 is below 0.6667")


@pytest.mark.parametrize("tag", ["trial_results", "results"])
def test_what_a_version_reached_is_read_under_both_names_of_its_tag(tag: str) -> None:
    assert Standing.of_tags({tag: CHAMPION.to_tag(), "other": "{}"}) == Standing.from_tag(CHAMPION.to_tag()) is not None


def test_a_champion_without_a_record_stays_and_that_is_said() -> None:
    for tag in ("", "nonsense", "{}", '{"results": 3}'):
        assert Standing.from_tag(tag) is None
    judged = judge(stand(0.9, 0.9, 1.0), None, GOAL)
    assert (judged.promoted, judged.reason) == (
        False,
        "what the champion reached is not recorded, so the two cannot be compared",
    )


def test_on_other_pictures_nothing_is_compared() -> None:
    other = replace(START, data={**DATA, "fgvc": DataDescription("beef", {})})
    fewer = replace(START, data={name: DATA[name] for name in ("fgvc", "hrplanes")})
    reasons = [
        judge(standing(other, model(0.9, 0.9, 1.0), GOAL), CHAMPION, GOAL).reason,
        judge(standing(fewer, model(0.9, 0.9, 1.0), GOAL), CHAMPION, GOAL).reason,
        judge(standing(START, model(0.9, 0.9, 1.0, **{"split.kind": "kfold"}), GOAL), CHAMPION, GOAL).reason,
        judge(stand(0.9, 0.9, 1.0, n=90.0), CHAMPION, GOAL).reason,
    ]
    assert [reason.removesuffix(", so the two cannot be compared") for reason in reasons] == [
        "the champion was trained on other pictures of fgvc",
        "the champion also knows planesnet",
        "the champion was validated on another split of the pictures",
        "fgvc/accuracy was measured on another number of pictures",
    ]
    more = replace(START, data={**DATA, "mine": DataDescription("f00d-mine", {})})
    mine = model(0.9, 0.9, 1.0, **{"datasets.mine.reader": "image_folder"})
    assert judge(standing(more, mine, GOAL), CHAMPION, GOAL).promoted, "one more dataset takes nothing away"


def test_a_model_of_real_pictures_takes_the_place_of_a_synthetic_one_and_not_the_reverse() -> None:
    drawn = replace(START, data={name: DataDescription("drawn", {}, synthetic=True) for name in DATA})
    synthetic = standing(drawn, model(0.9, 0.9, 1.0), GOAL)
    assert judge(stand(0.1, 0.1, 0.1), synthetic, GOAL).promoted
    assert not judge(synthetic, stand(0.1, 0.1, 0.1), GOAL).promoted


def test_where_both_have_a_final_check_of_three_seeds_the_test_split_counts() -> None:
    def checked(fgvc: float, seeds: int = 3) -> Standing:
        each = {"test/fgvc/accuracy": fgvc, "test/hrplanes/iou": 0.5, "test/planesnet/accuracy": 0.9}
        counts = {key.replace("val/", "test/"): value for key, value in N.items()}
        found = {3: confirmed(3, [{**each, **counts}] * seeds)}
        return standing(START, model(0.5, 0.5, 1.0), GOAL, found)

    worse = judge(checked(0.40), checked(0.50), GOAL)
    assert (worse.promoted, worse.split) == (False, "test")
    assert worse.reason == "fgvc/accuracy is worse by more than the interval"
    assert judge(checked(0.55), checked(0.50), GOAL).promoted
    assert judge(checked(0.40, seeds=2), checked(0.50), GOAL).split == "val", "two seeds give no interval"
