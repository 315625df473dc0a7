"""An ensemble is chosen by validation alone, judged by test, and looks at pictures like a single model."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from raytune_planes.cli import main
from raytune_planes.commands.ensemble import METHODS
from raytune_planes.commands.ensemble_run import Member, build, gather, in_words, member
from raytune_planes.commands.find_model import find_model
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.folds import parted
from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, Goal, Objective, TrialRecord
from raytune_planes.serving import Predictor, ensemble, forest
from raytune_planes.serving.answers import answer
from raytune_planes.serving.ensemble import Ensemble
from raytune_planes.serving.split_predictions import SplitPrediction, Truth, judged, predict_split, truth
from raytune_planes.tracking import JsonlTracker, reading
from raytune_planes.tracking.keeping import free
from raytune_planes.tracking.validation import probabilities, read_validation
from raytune_planes.training.checkpoint import Checkpoint
from raytune_planes.training.folds import train_trial
from raytune_planes.training.loop import train
from raytune_planes.tuning import ensembles
from tests.serving.test_answers import photo, png
from tests.toy import INFOS, toy_config, toy_data, toy_prompts
from tests.tracking.studies import START, epoch, play, trial

GOAL = Goal((Objective("val/fgvc/accuracy"),))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The ``best.pt`` of three models that saw different seeds."""
    paths = []
    for seed in range(3):
        folder = tmp_path_factory.mktemp(f"trial-{seed}")
        config = toy_config(seed=seed, budget__epochs=1, budget__steps_per_epoch=24)
        train(config, toy_data(), toy_prompts(), GOAL, report=lambda _, c, folder=folder: c.save(folder))
        paths.append(folder / "best.pt")
    return paths


def members(paths: list[Path], data: dict[str, Arrays]) -> tuple[Member, ...]:
    return tuple(
        Member(TrialRecord(f"t{i}", i, {}, {}), path, Predictor.load(path), data, read_validation(path.parent))
        for i, path in enumerate(paths)
    )


def poisoned(data: dict[str, Arrays]) -> dict[str, Arrays]:
    """With other pictures, labels and masks for test."""
    out, rng = {}, np.random.default_rng(9)
    for name, arrays in data.items():
        test_N = arrays.splits["test"]
        images, labels = arrays.images_NHWC.copy(), arrays.labels_N.copy()
        images[test_N] = rng.integers(0, 256, images[test_N].shape)
        labels[test_N] = rng.permutation(labels[test_N])[::-1]
        masks = None if arrays.masks_NHW is None else arrays.masks_NHW.copy()
        if masks is not None:
            masks[test_N] = 1 - masks[test_N]
        out[name] = replace(arrays, images_NHWC=images, labels_N=labels, masks_NHW=masks)
    return out


@pytest.fixture(autouse=True)
def few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forest, "TREES", 10)
    monkeypatch.setattr("raytune_planes.tuning.weighing.TRIALS", 20)
    monkeypatch.setattr("raytune_planes.tuning.weighing.GENERATIONS", 5)


@pytest.mark.parametrize("method", METHODS)
def test_no_way_of_choosing_looks_at_test(trained: list[Path], method: str) -> None:
    honest, verdicts = build(members(trained, toy_data()), method, 0)
    blind, other = build(members(trained, poisoned(toy_data())), method, 0)
    for name, rule in honest.items():
        assert (rule.classes_M, rule.mask_M) == (blind[name].classes_M, blind[name].mask_M)
        if rule.forest is not None and blind[name].forest is not None:
            assert np.array_equal(rule.forest.threshold_J, blind[name].forest.threshold_J)
        assert verdicts[name].ensemble["val"] == other[name].ensemble["val"]
    assert any(verdicts[name].ensemble["test"] != other[name].ensemble["test"] for name in honest)


def test_the_command_knows_every_way_there_is() -> None:
    assert METHODS == ensembles.METHODS


def test_what_chooses_cannot_ask_for_test(trained: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[str]] = []
    real = predict_split

    def spy(predictor: Predictor, dataset: str, arrays: Arrays, split: str) -> object:
        seen.append(set(arrays.splits))
        return real(predictor, dataset, arrays, split)

    monkeypatch.setattr("raytune_planes.commands.ensemble_run.predict_split", spy)
    build(members(trained, toy_data()), "soft", 0)
    first_test = next(i for i, splits in enumerate(seen) if "test" in splits)
    assert all(splits == {"val"} for splits in seen[:first_test])
    assert all("test" in splits for splits in seen[first_test:])


def test_validation_is_answered_from_the_logits_that_the_trial_kept(trained: list[Path]) -> None:
    kept = members(trained, toy_data())
    fresh = tuple(replace(m, kept={}) for m in kept)
    for name, verdict in build(kept, "soft", 0)[1].items():
        assert verdict == build(fresh, "soft", 0)[1][name]


def test_a_verdict_is_what_training_would_measure(trained: list[Path]) -> None:
    data = toy_data()
    _, verdicts = build(members(trained, data), "greedy", 0)
    alone = judged(
        predict_split(Predictor.load(trained[0]), "hrplanes", data["hrplanes"], "test"),
        truth(data["hrplanes"], "test"),
        INFOS["hrplanes"],
    )
    assert verdicts["hrplanes"].single["test"] == alone
    assert alone.keys() >= {"accuracy", "class_accuracy", "iou", "dice"}


def test_a_trial_that_validated_other_pictures_has_no_say(trained: list[Path]) -> None:
    first, second, third = members(trained, toy_data())
    arrays = toy_data()["fgvc"]
    turned = replace(arrays, splits={**arrays.splits, "val": arrays.splits["test"], "test": arrays.splits["val"]})
    other = replace(third, data={**third.data, "fgvc": turned})
    rules, _ = build((first, second, other), "soft", 0)
    assert rules["fgvc"].classes_M == (0.5, 0.5, 0)
    assert rules["hrplanes"].classes_M == pytest.approx((1 / 3, 1 / 3, 1 / 3))


@pytest.mark.parametrize("method", ["greedy", "forest"])
def test_a_saved_ensemble_says_of_a_picture_what_its_members_say_together(
    trained: list[Path], tmp_path: Path, method: str
) -> None:
    data = toy_data()
    gathered = members(trained, data)
    rules, _ = build(gathered, method, 0)
    ensemble.save(tmp_path / "e", [(m.path, {"trial": m.trial.number}) for m in gathered], rules, {})
    ensemble.save(tmp_path / "e", [(m.path, {"trial": m.trial.number}) for m in gathered], rules, {})  # in its place
    loaded = find_model(str(tmp_path / "e"), tmp_path)
    assert isinstance(loaded, Ensemble)
    for name, arrays in data.items():
        i = arrays.splits["test"][0]
        one = replace(arrays, splits={"test": arrays.splits["test"][:1]})
        guesses = [predict_split(m.predictor, name, one, "test") for m in gathered]
        expected = rules[name].combine(np.stack([g.probability_NK for g in guesses]), [g.mask_NHW for g in guesses])
        pixels = arrays.images_NHWC[i]
        look = loaded.infer(name, photo(pixels) if name == "fgvc" else png(pixels))
        assert look.probability_NK == pytest.approx(expected.probability_NK, abs=1e-4)
        if expected.mask_NHW is not None and arrays.images_NHWC.shape[1] <= 320:
            assert look.mask_HW == pytest.approx(expected.mask_NHW[0], abs=2e-3)


def test_an_ensemble_of_models_that_box_counts_by_the_boxes_of_the_one_that_weighs_most(
    trained: list[Path], tmp_path: Path
) -> None:
    config = toy_config(losses__detection__weight=1.0, budget__epochs=1, budget__steps_per_epoch=24)
    train(config, toy_data(), toy_prompts(), GOAL, report=lambda _, c: c.save(tmp_path))
    boxing = Predictor.load(tmp_path / "best.pt")
    other = Predictor.load(trained[0])
    pixels = png(toy_data()["hrplanes"].images_NHWC[1])
    rules = {"hrplanes": ensemble.Rule((0.8, 0.2), (0.8, 0.2))}
    told = answer(Ensemble([other, boxing], rules), pixels, "hrplanes")
    assert told.boxes == answer(boxing, pixels, "hrplanes").boxes
    assert told.count is not None
    assert told.count.by == "detections"
    assert answer(Ensemble([other, other], rules), pixels, "hrplanes").boxes is None


def test_an_ensemble_slides_over_a_scene_with_all_its_members(trained: list[Path]) -> None:
    one, other = map(Predictor.load, trained[:2])
    scene = png(toy_data()["planesnet"].images_NHWC[:6].reshape(3, 2, 16, 16, 3).swapaxes(1, 2).reshape(48, 32, 3))
    look = Ensemble([one, other], {"planesnet": ensemble.Rule((0.75, 0.25))}).infer("planesnet", scene)
    parts = [each.infer("planesnet", scene).probability_NK for each in (one, other)]
    assert look.slide is not None
    assert len(look.probability_NK) == len(look.slide) == 9 * 5
    assert look.probability_NK == pytest.approx(0.75 * parts[0] + 0.25 * parts[1], abs=1e-6)


def test_an_ensemble_of_synthetic_pictures_says_so(trained: list[Path]) -> None:
    one, older = map(Predictor.load, trained[:2])
    rules = {"fgvc": ensemble.Rule((0.5, 0.5))}
    assert Ensemble([one, older], rules).synthetic == ("planesnet", "hrplanes", "fgvc")
    older.synthetic = None
    assert Ensemble([one, older], rules).synthetic is None


def test_gain_and_gap_stand_in_the_table(trained: list[Path]) -> None:
    gathered = members(trained, toy_data())
    rules, verdicts = build(gathered, "soft", 0)
    told = in_words(gathered, "soft", rules, verdicts, synthetic=True)
    one, both = verdicts["fgvc"].single["test"]["accuracy"], verdicts["fgvc"].ensemble["test"]["accuracy"]
    assert "On SYNTHETIC data" in told
    assert "the best single one is 0" in told
    (line,) = [line for line in told.splitlines() if "fgvc accuracy" in line]
    assert f"{both - one:+.4f} ± {verdicts['fgvc'].uncertain:.4f}" in line
    assert "fgvc: classes 0: 0.33, 1: 0.33, 2: 0.33" in told
    alone = [
        judged(predict_split(m.predictor, "fgvc", m.data["fgvc"], "val"), truth(m.data["fgvc"], "val"), INFOS["fgvc"])
        for m in gathered
    ]
    assert max(v["accuracy"] for v in alone) == verdicts["fgvc"].alone["val"]["accuracy"]
    assert line.endswith(f"{verdicts['fgvc'].specialist}: {verdicts['fgvc'].alone['test']['accuracy']:.4f}")


def test_a_study_with_one_trial_makes_no_ensemble(trained: list[Path], tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path), trials=(replace(trial(0), end=End.COMPLETED, epochs=(epoch(1, 0.5),)),))
    study = reading.read_study(tmp_path / START.name)
    (folder,) = (tmp_path / START.name / "trials").iterdir()
    shutil.copy(trained[0], folder / "best.pt")
    with pytest.raises(UserError, match=r"study quick-1 has 1 trial with weights; an ensemble needs two"):
        gather(study, 8, None, None)
    free(folder, 3)
    told = r"has 0 trials with weights; .*--keep 8' \(the weights of 1 trial among the 8 best were removed; --keep 8"
    with pytest.raises(UserError, match=told):
        gather(study, 8, None, None)


def test_a_damaged_ensemble_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "ensemble.json").write_text('{"format": 1}')
    assert main(["predict", str(tmp_path), str(tmp_path)]) == 2
    with pytest.raises(UserError, match=r"the ensemble in .* cannot be read: 'rules'; build it again"):
        Ensemble.load(tmp_path)


def test_an_ensemble_that_cannot_be_written_says_where(trained: list[Path], tmp_path: Path) -> None:
    gathered = members(trained, toy_data())
    rules, _ = build(gathered, "soft", 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="holds other files than an ensemble's; choose another --to"):
        ensemble.save(tmp_path, [(m.path, {}) for m in gathered], rules, {})
    assert (tmp_path / "file").is_file()
    with pytest.raises(UserError, match=r"cannot be written to .*file/e: .*; choose another --to"):
        ensemble.save(tmp_path / "file" / "e", [(m.path, {}) for m in gathered], rules, {})


def test_trials_on_every_fold_are_weighed_by_their_out_of_fold_answers(tmp_path: Path) -> None:
    data, folds = toy_data(), {"split__kind": "kfold", "split__folds": 3}
    both = []
    for seed in range(2):
        records: list[EpochRecord] = []
        folder = tmp_path / f"trial-{seed}"
        folder.mkdir()

        def keep(record: EpochRecord, kept: Checkpoint, folder: Path = folder, seen: list = records) -> None:
            seen.append(record)
            kept.save(folder)

        config = toy_config(seed=seed, budget__epochs=1, budget__steps_per_epoch=24, **folds)
        train_trial(config, lambda _: (data, toy_prompts()), GOAL, report=keep)
        path = folder / "best.pt"
        record = TrialRecord(f"t{seed}", seed, {}, {}, tuple(records), End.COMPLETED)
        both.append(member(record, path, Predictor.load(path), data))
    first = parted(data["hrplanes"], toy_config(**folds).split).splits["val"]
    for one in both:
        assert len(one.data["fgvc"].splits["val"]) == len(one.kept["fgvc"].pictures_N) == 40
        assert one.data["hrplanes"].splits["val"].tolist() == first.tolist(), "its masks are answered by this model"
    rules, verdicts = build(both, "greedy", 0)
    real = data["fgvc"].labels_N[both[0].kept["fgvc"].pictures_N]
    right = float((both[0].kept["fgvc"].logits_NK.argmax(1) == real).mean())
    assert verdicts["fgvc"].single["val"]["accuracy"] == pytest.approx(right)
    wanted, _ = ensembles.choose(
        "greedy",
        [SplitPrediction(probabilities(one.kept["fgvc"].logits_NK)) for one in both],
        Truth(real, None, both[0].kept["fgvc"].pictures_N, np.arange(40)),
    )
    assert rules["fgvc"].classes_M == wanted.classes_M
    stacked = build(both, "forest", 0)[0]["fgvc"].forest
    grown = forest.fit(np.stack([probabilities(one.kept["fgvc"].logits_NK) for one in both]), real, 0)
    assert stacked is not None
    assert all(np.array_equal(value, vars(stacked)[key]) for key, value in vars(grown).items()), "on all 40 pictures"
    text = in_words(both, "greedy", rules, verdicts, synthetic=False)
    assert text.count("fitted on the out-of-fold answers of all 3 folds") == 2
