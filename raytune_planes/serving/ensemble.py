"""Several trials' models as one: weighted for each dataset, in a folder of its own, looking like a single model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytune_planes.datasets.base import Info
from raytune_planes.datasets.images import Source
from raytune_planes.errors import UserError
from raytune_planes.serving.forest import Forest
from raytune_planes.serving.learnt import Learnt
from raytune_planes.serving.predictor import Inference, Predictor, require
from raytune_planes.serving.split_predictions import SplitPrediction, resized
from raytune_planes.tracking.files import load_json, save_json

FILE = "ensemble.json"


@dataclass(frozen=True)
class Rule:
    """How the members' answers for one dataset become one. Weights sum to one; 0 leaves a member out."""

    classes_M: tuple[float, ...]
    mask_M: tuple[float, ...] = ()
    """Empty for datasets without masks."""
    forest: Forest | None = None
    """Decides the class from the answers of the members with a weight, in place of their mean."""

    def combine(self, probability_MNK: np.ndarray, masks: Sequence[np.ndarray | None]) -> SplitPrediction:
        """Of all members in order; masks at the resolution of the first that has a weight."""
        weights_M = np.array(self.classes_M)
        if self.forest is not None:
            probability_NK = self.forest(probability_MNK[weights_M > 0])
        else:
            probability_NK = np.tensordot(weights_M, probability_MNK, 1)
        given = [(w, mask) for w, mask in zip(self.mask_M, masks, strict=False) if w and mask is not None]
        if not given:
            return SplitPrediction(probability_NK)
        height, width = given[0][1].shape[1:]
        mask_NHW = sum(w * resized(mask, height, width) for w, mask in given)
        return SplitPrediction(probability_NK, np.asarray(mask_NHW))

    def of(self, kept: Sequence[int]) -> Rule:
        """The rule for a choice of its members that holds all with a weight."""
        return Rule(
            tuple(self.classes_M[i] for i in kept), tuple(self.mask_M[i] for i in kept if self.mask_M), self.forest
        )

    @property
    def used(self) -> set[int]:
        return {i for weights in (self.classes_M, self.mask_M) for i, w in enumerate(weights) if w}


class Ensemble:
    """Members in order, and a rule for each dataset."""

    def __init__(self, members: Sequence[Predictor], rules: Mapping[str, Rule]) -> None:
        self.members, self.rules = tuple(members), rules
        self.config = members[0].config
        self.infos: Mapping[str, Info] = {
            name: next(m.infos[name] for m in members if name in m.infos) for name in rules
        }
        self.learnt: Mapping[str, Learnt] = {
            name: next(m.learnt[name] for m in members if name in m.learnt) for name in rules
        }
        known = [m.synthetic for m in members]
        self.synthetic = None if None in known else tuple(dict.fromkeys(name for each in known for name in each or ()))

    def infer(self, dataset: str, source: Source, texts: tuple[str, ...] = (), scale: float | None = None) -> Inference:
        """As a single model does; the mask at the scale of its first member that has a say in it, the boxes of the
        member that weighs most among those that learnt any."""
        require(dataset, self.infos)
        rule = self.rules[dataset]
        inferences = {i: self.members[i].infer(dataset, source, texts, scale) for i in sorted(rule.used)}
        first = next(iter(inferences.values()))
        no_text = np.zeros(len(texts), np.float32)
        nothing = Inference(np.zeros_like(first.probability_NK), 0, None, no_text, no_text)
        every = [inferences.get(i, nothing) for i in range(len(self.members))]
        masks = [None if each.mask_HW is None else each.mask_HW[None] for each in every]
        combined = rule.combine(np.stack([each.probability_NK for each in every]), masks)
        weights_M = np.array(rule.classes_M)
        weight_M = rule.mask_M or rule.classes_M
        boxed = [i for i, each in inferences.items() if each.boxes is not None]
        turned = [i for i, each in inferences.items() if each.oriented is not None]
        return Inference(
            probability_NK=combined.probability_NK,
            tiles=first.tiles,
            mask_HW=None if combined.mask_NHW is None else combined.mask_NHW[0],
            similar_P=np.tensordot(weights_M, np.stack([each.similar_P for each in every]), 1),
            text_P=np.tensordot(weights_M, np.stack([each.text_P for each in every]), 1),
            boxes=inferences[max(boxed, key=lambda i: weight_M[i])].boxes if boxed else None,
            oriented=inferences[max(turned, key=lambda i: weight_M[i])].oriented if turned else None,
            slide=first.slide,
        )

    @staticmethod
    def load(folder: Path) -> Ensemble:
        """Raises UserError when ``folder`` holds no whole ensemble."""
        try:
            content = load_json(folder / FILE)
            rules = {name: _rule(folder, name, rule) for name, rule in content["rules"].items()}
            files = [str(member["file"]) for member in content["members"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"the ensemble in {folder} cannot be read: {error}; build it again") from None
        return Ensemble([Predictor.load(folder / file) for file in files], rules)


def save(
    folder: Path, members: Sequence[tuple[Path, Mapping[str, Any]]], rules: Mapping[str, Rule], about: Mapping[str, Any]
) -> None:
    """Write an ensemble that depends on no other folder; members that no rule uses are left out.

    Args:
        members: each one's ``best.pt``, and what to tell of it.
        about: what else ``ensemble.json`` tells.

    Raises:
        UserError: the folder cannot be written, or holds something else.
    """
    kept = sorted(set().union(*(rule.used for rule in rules.values())))
    members_json: list[dict[str, Any]] = []
    if folder.is_dir() and any(folder.iterdir()) and not (folder / FILE).is_file():
        raise UserError(f"{folder} holds other files than an ensemble's; choose another --to")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (folder / FILE, *folder.glob("*.pt"), *folder.glob("forest-*.npz")):
            old.unlink(missing_ok=True)
        for place in kept:
            path, tags = members[place]
            file = f"{len(members_json):02d}-{path.parent.name}.pt"
            shutil.copyfile(path, folder / file)
            members_json.append({"file": file, **tags})
        for name, rule in rules.items():
            if rule.forest is not None:
                np.savez_compressed(folder / f"forest-{name}.npz", allow_pickle=False, **vars(rule.forest))
        written = {name: _to_json(rule.of(kept)) for name, rule in rules.items()}
        save_json(folder / FILE, {"members": members_json, "rules": written, **about})
    except OSError as error:
        raise UserError(f"the ensemble cannot be written to {folder}: {error}; choose another --to") from None


def _to_json(rule: Rule) -> dict[str, Any]:
    return {"classes": list(rule.classes_M), "mask": list(rule.mask_M), "forest": rule.forest is not None}


def _rule(folder: Path, name: str, rule: Mapping[str, Any]) -> Rule:
    forest = None
    if rule["forest"]:
        with np.load(folder / f"forest-{name}.npz", allow_pickle=False) as stored:
            forest = Forest(**{key: stored[key] for key in stored.files})
    return Rule(tuple(map(float, rule["classes"])), tuple(map(float, rule["mask"])), forest)
