"""An ensemble from the command line: gather the trials, choose by validation, judge by test, keep, tell."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from raytune_planes.catalog import primary_metric
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.folds import parted
from raytune_planes.errors import UserError
from raytune_planes.fold_metrics import results
from raytune_planes.invocation import command, in_folder, predicting
from raytune_planes.preparation.data import data_folder, open_data
from raytune_planes.printing import counted
from raytune_planes.records import End, TrialRecord, rank
from raytune_planes.report.explain import places
from raytune_planes.report.formatting import shown, signed, table
from raytune_planes.serving import ensemble
from raytune_planes.serving.ensemble import Rule
from raytune_planes.serving.predictor import Predictor
from raytune_planes.serving.split_predictions import SplitPrediction, Truth, judged, predict_split, truth
from raytune_planes.stores.address import Place
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.keeping import is_freed
from raytune_planes.tracking.reading import StudyFiles
from raytune_planes.tracking.validation import VALIDATION, Predictions, probabilities, read_validation
from raytune_planes.tuning.ensembles import aligned, choose

SHOWN = ("accuracy", "class_accuracy", "iou")
"""Metrics of the table."""


@dataclass(frozen=True)
class Member:
    """A trial that may take part."""

    trial: TrialRecord
    path: Path
    predictor: Predictor
    data: Mapping[str, Arrays]
    """As this trial was shown them."""
    kept: Mapping[str, Predictions]
    """What it said of validation; nothing for a trial of an older version."""


@dataclass(frozen=True)
class Verdict:
    """One dataset's metrics of the best single trial and of the ensemble, by split."""

    single: Mapping[str, Mapping[str, float]]
    ensemble: Mapping[str, Mapping[str, float]]
    uncertain: float
    """Half the 95 % interval of the gain in accuracy on test, over its pictures."""
    specialist: int
    """The trial that validation finds best for this dataset alone: a gain over it comes from working together."""
    alone: Mapping[str, Mapping[str, float]]
    """The specialist's metrics, by split."""


def run(args: argparse.Namespace) -> int:
    """Returns 0 whether the ensemble gains or loses.

    Raises:
        UserError: there are fewer than two trials with weights, or the data are gone.
    """
    folder = files.find_study(args.out, args.study)
    study = reading.read_study(folder)
    members = gather(study, int(args.members), args.data, args.cache)
    rules, verdicts = build(members, args.method, int(args.seed))
    to = args.to or folder / "ensemble"
    entries = [(m.path, {"trial": m.trial.number, "trial_id": m.trial.trial_id}) for m in members]
    result = {name: vars(verdict) for name, verdict in verdicts.items()}
    about = {"method": args.method, "study": study.start.name, "seed": args.seed, "result": result}
    ensemble.save(to, entries, rules, about)
    print(in_words(members, args.method, rules, verdicts, study.start.synthetic))
    print(f"Use it: {predicting(to)}")
    return 0


def gather(study: StudyFiles, most: int, data: Place | None, cache: Path | None) -> tuple[Member, ...]:
    """The best trial, then the next best that have weights, pruned ones too: each at its best epoch. Trials on every
    fold take part when they have trained on all: their validation is then out of fold.

    Raises:
        UserError: there are fewer than two.
    """
    goal, best = study.start.goal, best_of(study)

    def order(trial: TrialRecord) -> tuple[bool, tuple[bool, float, int]]:
        return trial is best, rank(trial, goal)

    trials = [t for t in study.trials if t.epochs and t.end is not End.FAILED]
    trials = [t for t in trials if t.end.is_complete or not any(e.fold for e in t.epochs)]
    candidates = [(t, files.trial_folder(study.folder, t.number, t.trial_id) / files.WEIGHTS) for t in trials]
    ranked = sorted(candidates, key=lambda pair: order(pair[0]), reverse=True)
    freed = [t.number for t, path in ranked[:most] if is_freed(path.parent)]
    kept = [pair for pair in ranked if pair[1].is_file()][:most]
    gone = f"the weights of {counted(len(freed), 'trial')} among the {most} best were removed; --keep {most} keeps them"
    if len(kept) < 2:
        where, more = in_folder(study.folder.parent), f" --keep {most}" if freed else ""
        again = command(f"tune --resume {study.start.name}{where} --trials {len(study.trials) + 4}{more}")
        has = f"study {study.start.name} has {counted(len(kept), 'trial')} with weights; an ensemble needs two"
        raise UserError(f"{has}: continue with '{again}'" + (f" ({gone})" if freed else ""))
    if freed:
        print(f"Of {counted(len(kept), 'trial')}: {gone}")
    data, cache = places(study, data, cache)
    pictures = data_folder(data, cache)
    predictors = [Predictor.load(path) for _, path in kept]
    opened = [open_data(predictor.config, pictures, cache) for predictor in predictors]
    return tuple(
        member(trial, path, predictor, arrays)
        for (trial, path), predictor, arrays in zip(kept, predictors, opened, strict=True)
    )


def member(trial: TrialRecord, path: Path, predictor: Predictor, opened: Mapping[str, Arrays]) -> Member:
    """The model in ``path`` with its pictures of ``opened``: those that ``trial`` validated, on all of its folds."""
    answers = _kept(path)
    data = {name: parted(arrays, predictor.config.split) for name, arrays in opened.items()}
    if results(trial):
        data = {name: _out_of_fold(arrays, answers.get(name)) for name, arrays in data.items()}
    return Member(trial, path, predictor, data, answers)


def build(members: Sequence[Member], method: str, seed: int) -> tuple[dict[str, Rule], dict[str, Verdict]]:
    """Choose each dataset's rule on the validation set; when all are chosen, evaluate once on the test set."""
    single = members[0]
    blind = [replace(m, data={name: _only(arrays, "val") for name, arrays in m.data.items()}) for m in members]
    chosen = {name: _choose(blind, name, method, seed) for name in single.data}
    rules = {name: rule for name, (rule, _, _) in chosen.items()}
    verdicts = {}
    for name, (rule, predictions, combined) in chosen.items():
        info, compared = single.predictor.infos[name], {}
        key = primary_metric(name, single.predictor.config.datasets[name].reader)
        real = _truth(single, name, "val")
        present = {i: prediction for i, prediction in enumerate(predictions) if prediction is not None}
        scores = {i: judged(prediction, real, info)[key] for i, prediction in present.items()}
        best = max(scores, key=lambda i: scores[i])
        tested = _on_test(members, name, rule, best)
        for split, three in (("val", (present[0], combined, present[best])), ("test", tested)):
            compared[split] = [judged(prediction, _truth(single, name, split), info) for prediction in three]
        one, together, alone = ({split: three[i] for split, three in compared.items()} for i in range(3))
        uncertain = _uncertain(tested[0], tested[1], _truth(single, name, "test"))
        verdicts[name] = Verdict(one, together, uncertain, members[best].trial.number, alone)
    return rules, verdicts


def in_words(
    members: Sequence[Member], method: str, rules: Mapping[str, Rule], verdicts: Mapping[str, Verdict], synthetic: bool
) -> str:
    """The table for people: what each says on validation and on test, and what the ensemble gains or loses there."""
    best = members[0].trial.number
    header = ["", f"trial {best} val", "test", "gap", f"{method} val", "test", "gap", "gain on test", "best for it"]
    rows: list[list[str]] = []
    for name, verdict in verdicts.items():
        for key in (key for key in SHOWN if key in verdict.single["test"]):
            one = [verdict.single[split][key] for split in ("val", "test")]
            all_ = [verdict.ensemble[split][key] for split in ("val", "test")]
            figures = [text for v in (one, all_) for text in (shown(v[0]), shown(v[1]), signed(v[1] - v[0]))]
            known = f" ± {verdict.uncertain:.4f}" if key == "accuracy" else ""
            rows.append([f"{name} {key}", *figures, f"{signed(all_[1] - one[1])}{known}"])
            rows[-1].append(f"{verdict.specialist}: {shown(verdict.alone['test'][key])}")
    numbers = [m.trial.number for m in members]
    folds = len(results(members[0].trial))
    lines = ["On SYNTHETIC data"] if synthetic else []
    lines += [f"{counted(len(members), 'trial')} ({', '.join(map(str, numbers))}); the best single one is {best}"]
    lines += table(header, rows, right=range(1, len(header)))
    for name, rule in rules.items():
        parts = [("classes", rule.classes_M if rule.forest is None else ()), ("mask", rule.mask_M)]
        weighed = [f"{part} {_weights(numbers, weights)}" for part, weights in parts if weights]
        forest = [f"classes by a forest over {counted(len(rule.used), 'trial')}, whose validation is out of fold"]
        lines.append(f"{name}: {'; '.join((forest if rule.forest else []) + weighed)}")
        if folds and not members[0].predictor.infos[name].has_masks:
            lines[-1] += f"; fitted on the out-of-fold answers of all {folds} folds"
    return "\n".join(lines)


def _choose(
    members: Sequence[Member], name: str, method: str, seed: int
) -> tuple[Rule, list[SplitPrediction | None], SplitPrediction]:
    """The rule, and what each member (None: it has no part) and the ensemble say of validation."""
    real = _truth(members[0], name, "val")
    if not len(real.labels_N):
        raise UserError(f"{name} has no validation pictures to choose an ensemble by")
    same = [name in m.data and aligned(real, _truth(m, name, "val")) for m in members]
    predictions = [_on_val(member, name) if ok else None for member, ok in zip(members, same, strict=True)]
    rule, combined = choose(method, predictions, real, seed)
    return rule, predictions, combined


def _truth(member: Member, name: str, split: str) -> Truth:
    return truth(member.data[name], split, member.predictor.learnt[name].seen)


def _on_val(member: Member, name: str) -> SplitPrediction:
    """From the logits that the trial kept; masks it did not keep, so these are looked at again."""
    kept, arrays = member.kept.get(name), member.data[name]
    if kept is None or arrays.info.has_masks or not np.array_equal(kept.pictures_N, arrays.splits["val"]):
        return predict_split(member.predictor, name, arrays, "val")
    return SplitPrediction(probabilities(kept.logits_NK))


def _out_of_fold(arrays: Arrays, kept: Predictions | None) -> Arrays:
    """With every picture that ``kept`` answers out of fold as validation: its model, of one fold, is not asked. Masks
    are not kept, so a dataset that has some keeps the pictures that this model was not trained on."""
    pool_N = np.sort(np.concatenate([arrays.splits["train"], arrays.splits["val"]]))
    if kept is None or arrays.info.has_masks or not np.array_equal(kept.pictures_N, pool_N):
        return arrays
    return replace(arrays, splits={**arrays.splits, "train": pool_N[:0], "val": pool_N})


def _kept(path: Path) -> dict[str, Predictions]:
    return read_validation(path.parent) if (path.parent / VALIDATION).is_file() else {}


def _on_test(
    members: Sequence[Member], name: str, rule: Rule, best: int
) -> tuple[SplitPrediction, SplitPrediction, SplitPrediction]:
    """What the best single trial, the ensemble and the dataset's own best trial say."""
    predictions = {
        i: predict_split(members[i].predictor, name, members[i].data[name], "test") for i in {0, best, *rule.used}
    }
    probability_MNK = np.zeros((len(members), *predictions[0].probability_NK.shape))
    for i, prediction in predictions.items():
        probability_MNK[i] = prediction.probability_NK
    masks = [predictions[i].mask_NHW if i in predictions else None for i in range(len(members))]
    return predictions[0], rule.combine(probability_MNK, masks), predictions[best]


def _only(arrays: Arrays, split: str) -> Arrays:
    """Without the other splits: what chooses cannot even ask for them."""
    return replace(arrays, splits={split: arrays.splits[split]})


def _uncertain(single: SplitPrediction, together: SplitPrediction, real: Truth) -> float:
    right = [(prediction.probability_NK.argmax(1) == real.labels_N).astype(float) for prediction in (together, single)]
    difference_N = right[0] - right[1]
    return float(1.96 * difference_N.std() / np.sqrt(len(difference_N)))


def _weights(numbers: Sequence[int], weights: Sequence[float]) -> str:
    return ", ".join(f"{n}: {w:.2f}" for n, w in zip(numbers, weights, strict=True) if w)
