"""What a study tells the world: always files, and MLflow while it answers."""

from __future__ import annotations

from raytune_planes.tracking.base import DataDescription, StudyEnd, StudyStart, Tracker, Trackers
from raytune_planes.tracking.files import find_study, study_folder, trial_folder
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.published import published_log
from raytune_planes.tracking.reading import StudyFiles, read_study

__all__ = [
    "DataDescription",
    "JsonlTracker",
    "StudyEnd",
    "StudyFiles",
    "StudyStart",
    "Tracker",
    "Trackers",
    "find_study",
    "published_log",
    "read_study",
    "study_folder",
    "trial_folder",
]
