"""YOLO: a text file for each picture, a line for each object; ``data.yaml`` tells the names of the class ids."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from raytune_planes.datasets import data_yaml, yolo
from raytune_planes.datasets.label_formats import dota
from raytune_planes.datasets.labels import Found
from raytune_planes.datasets.survey import Survey
from raytune_planes.paths import start

BOX = re.compile(rb"\s*\d{1,4}(\.0+)?(\s+-?([01]|[01]?\.\d+)(e-?\d+)?){4,}\s*$", re.MULTILINE)
"""A class id and fractions of the picture."""


def looks(path: Path) -> bool:
    """Whether the file is of this format."""
    return path.suffix.lower() == ".txt" and bool(BOX.match(start(path)))


def read(survey: Survey, sizes: Mapping[Path, tuple[int, int]]) -> Found | None:
    """The boxes of the pictures that have a label file; None where none has one of this format. Raises UserError."""
    files = yolo.label_files(sizes, survey.root)
    if not files or dota.are_dota(files.values()):
        return None
    points = data_yaml.keypoints(survey)
    labels_of = {picture: yolo.read_boxes(path, *sizes[picture], points) for picture, path in files.items()}
    return Found(labels_of, set(files.values()), data_yaml.class_names(survey))
