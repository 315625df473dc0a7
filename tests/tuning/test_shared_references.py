"""Datasets trained alone that several studies share: which may be shared, and what stays where their files are gone."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from raytune_planes.config import Dataset, TrialConfig
from raytune_planes.config.local_path import all_local, checked
from raytune_planes.records import End, Goal, Objective
from raytune_planes.report import summary
from raytune_planes.section import Section
from raytune_planes.settings import flatten
from raytune_planes.terminal import PlainView
from raytune_planes.tracking.base import DataDescription, Trackers
from raytune_planes.tracking.files import SHARED
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tuning.alone import READ, alone, folder_name
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.study import Outcome, run_study
from tests.tuning.tiny import tiny_plan

IOU = "val/hrplanes/iou"


@pytest.mark.parametrize(
    ("setting", "more"),
    [("start", {}), ("text.templates", {}), ("model.backbone.weights", {"model.backbone.kind": "resnet18"})],
)
def test_a_reference_is_shared_only_with_studies_that_read_the_same_files(
    tmp_path: Path, setting: str, more: dict[str, Any]
) -> None:
    file = tmp_path / "named.txt"
    plan = tiny_plan(tmp_path, fixed={setting: str(file), **more})
    task, first = plan.task(tmp_path), plan.space.first()

    def place(content: str) -> str:
        file.write_text(content)
        return folder_name("fgvc", alone(task, first, "fgvc"), "pictures")

    assert place("one") == place("one")
    assert place("one") != place("two")


def test_a_reference_without_files_keeps_the_name_that_earlier_studies_gave_it(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path)
    config = alone(plan.task(tmp_path), plan.space.first(), "fgvc")
    others = ("datasets.planesnet.", "datasets.hrplanes.", "datasets.mine.")
    flat = {key: value for key, value in flatten(config).items() if not key.startswith(others)}
    digest = hashlib.sha256(json.dumps([flat, "pictures"], sort_keys=True).encode()).hexdigest()
    assert folder_name("fgvc", config, "pictures") == f"fgvc-{digest[:16]}"


def test_a_folder_counts_with_the_names_of_its_files(tmp_path: Path) -> None:
    config = alone(tiny_plan(tmp_path).task(tmp_path), tiny_plan(tmp_path / "2").space.first(), "fgvc")
    named = tmp_path / "bert"
    named.mkdir()
    (named / "a.txt").write_text("a")
    reads = config.model_copy(update={"text": config.text.model_copy(update={"model": str(named)})})
    before = folder_name("fgvc", reads, "pictures")
    (named / "a.txt").rename(named / "b.txt")
    assert folder_name("fgvc", reads, "pictures") != before


def test_every_setting_that_names_a_file_is_read_or_told_by_the_pictures_fingerprint() -> None:
    def named(section: type[Section], prefix: str = "") -> set[str]:
        found = set()
        for name, field in section.model_fields.items():
            if any(getattr(each, "func", None) in (checked, all_local) for each in field.metadata):
                found.add(f"{prefix}{name}")
            if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
                found |= named(field.annotation, f"{prefix}{name}.")
        return found

    assert named(TrialConfig) == set(READ)
    assert named(Dataset) == {"root", "clean", "link_roots", "teacher"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_study_keeps_what_its_references_reached_and_names_a_dataset_that_validates_nothing(tmp_path: Path) -> None:
    plan = tiny_plan(tmp_path, fixed={"stopping.rule": "stop_and_go"}, trials=1, references=True)
    plan = replace(_without_validation(plan, "planesnet"), space=replace(plan.space, goal=Goal((Objective(IOU),))))
    first, shown = _run(plan)
    assert [trial.end for trial in first.study.trials] == [End.COMPLETED]
    assert sorted(first.study.alone) == ["fgvc", "hrplanes"]
    assert "planesnet is not trained alone for comparison: it has no validation pictures" in shown
    assert IOU in summary.as_text(first.study)

    shutil.rmtree(plan.out / SHARED)
    again, shown = _run(replace(plan, settings=plan.settings.model_copy(update={"trials": 2})))
    assert [trial.end for trial in again.study.trials] == [End.COMPLETED, End.COMPLETED]
    assert again.study.alone == first.study.alone
    assert "trained alone:" not in shown
    assert not (plan.out / SHARED).exists()


def _without_validation(plan: StudyPlan, name: str) -> StudyPlan:
    material = plan.material
    (entry,) = (each for each in material.entries if each.dataset == name)
    folder = Path(entry.folder)
    train_N, val_N = (np.load(folder / f"{split}.npy") for split in ("train", "val"))
    np.save(folder / "train.npy", np.concatenate([train_N, val_N]))
    np.save(folder / "val.npy", val_N[:0])
    about = json.loads((folder / "info.json").read_text())
    counts = {"train": len(train_N) + len(val_N), "val": 0, "test": material.data[name].counts["test"]}
    data = {**material.data, name: DataDescription(about["fingerprint"], counts, True)}
    return replace(plan, material=replace(material, data=data))


def _run(plan: StudyPlan) -> tuple[Outcome, str]:
    shown = io.StringIO()
    return run_study(plan, view=PlainView(shown), trackers=Trackers(JsonlTracker(plan.out))), shown.getvalue()
