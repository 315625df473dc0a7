"""Finished studies in one file, to learn from elsewhere: settings and figures, without names, paths and pictures."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, FiniteFloat, StrictBool, StrictFloat, StrictInt, StrictStr, ValidationError

from raytune_planes.errors import UserError
from raytune_planes.learning.learn import Earlier
from raytune_planes.learning.similarity import IGNORED
from raytune_planes.paths import regular
from raytune_planes.records import MEASURES, End, EpochRecord, TrialRecord, split_metric
from raytune_planes.section import Section
from raytune_planes.settings import PATHS, Value, examined, unstaged
from raytune_planes.tracking.base import DataDescription
from raytune_planes.tracking.files import write_whole

FORMAT = 1
DIGITS = 5
"""Of a figure, those that count: no validation split tells more."""
_Leaf = StrictBool | StrictInt | StrictFloat | StrictStr | None
_Settings = dict[str, _Leaf]


class _Data(Section):
    fingerprint: str
    counts: dict[str, int]
    synthetic: bool


class _Trial(Section):
    number: Annotated[int, Field(ge=0)]
    end: Literal[End.COMPLETED, End.CONVERGED, End.PRUNED, End.PAUSED]
    drawn: _Settings
    stage: str = ""
    samples: list[int]
    """After each epoch."""
    metrics: dict[str, list[FiniteFloat]]
    """After each epoch, of those that every epoch has."""


class _Study(Section):
    name: str
    study_id: str
    data: dict[str, _Data]
    alone: dict[str, dict[str, FiniteFloat]]
    config: _Settings
    """Of its first trial."""
    trials: list[_Trial]


class _File(Section):
    format: Literal[1]
    version: str
    """Of the package that wrote it."""
    studies: list[_Study]


def read(path: Path) -> tuple[tuple[Earlier, ...], tuple[str, ...]]:
    """The studies of a file, and a sentence where this version lacks settings in it: these are left out.

    Raises:
        UserError: it cannot be read, or is no such file.
    """
    try:
        file = _File.model_validate_json(regular(path).read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise UserError(
            f"{path} holds no studies in format {FORMAT} ({place}: {first['msg']}); this version of the package writes "
            "such a file with: studies --export FILE"
        ) from None
    gone: dict[str, None] = {}
    studies = tuple(_earlier(study, gone) for study in file.studies)
    if not gone:
        return studies, ()
    return studies, (
        f"{path.name}, which version {file.version} wrote, has settings that this version lacks, or values that it "
        f"does not take; left out: {', '.join(gone)}",
    )


def write(path: Path, studies: Sequence[Earlier], version: str) -> int:
    """Replace ``path`` by a file of these studies, each under the name of its space and a number.

    Returns:
        How many trials it holds: those with a result.

    Raises:
        UserError: it cannot be written.
    """
    counts: Counter[str] = Counter()
    rows = []
    for study in studies:
        counts[study.space] += 1
        rows.append(_study(study, f"{study.space or 'study'}-{counts[study.space]}"))
    try:
        write_whole(path, _text(_File(format=FORMAT, version=version, studies=rows)))
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error}; give another file") from None
    return sum(len(row.trials) for row in rows)


def _text(file: _File) -> str:
    """JSON with a line for each trial, and one for what else a study has."""
    studies = []
    for study in file.studies:
        trials = ",\n".join(trial.model_dump_json() for trial in study.trials)
        studies.append(f'{study.model_dump_json(exclude={"trials"})[:-1]},"trials":[\n{trials}\n]}}')
    head, rows = file.model_dump_json(exclude={"studies"})[:-1], ",\n".join(studies)
    return f'{head},"studies":[\n{rows}\n]}}\n'


def _study(study: Earlier, name: str) -> _Study:
    config = study.trials[0].config if study.trials else {}
    return _Study(
        name=name,
        study_id=study.study_id,
        data={n: _Data(fingerprint=d.fingerprint, counts=dict(d.counts), synthetic=d.synthetic)
              for n, d in study.data.items()},
        alone={n: _figures(metrics) for n, metrics in study.alone.items()},
        config={k: v for k, v in _settings(config).items() if not k.startswith(IGNORED)},
        trials=[row for trial in study.trials if (row := _trial(trial))],
    )  # fmt: skip


def _trial(trial: TrialRecord) -> _Trial | None:
    """None of one without a result. Of a plan, the last stage alone counts; of folds, the mean over them."""
    ends = (End.COMPLETED, End.CONVERGED, End.PRUNED, End.PAUSED)
    last = trial.epochs[-1].stage if trial.epochs else ""
    epochs = [e for e in trial.epochs if e.stage == last]
    if any(e.fold for e in epochs):
        epochs = [e for e in epochs if e.result][-1:]
    figures = [_figures(e.metrics) for e in epochs]
    if trial.end not in ends or not figures:
        return None
    common = [key for key in figures[0] if all(key in f for f in figures)]
    return _Trial(
        number=trial.number,
        end=trial.end,
        drawn=_settings(trial.drawn),
        stage=last,
        samples=[e.samples for e in epochs],
        metrics={key: [f[key] for f in figures] for key in common},
    )


def _figures(metrics: Mapping[str, float]) -> dict[str, float]:
    """Those by which a study may judge its trials."""
    return {
        key: float(f"{value:.{DIGITS}g}")
        for key, value in metrics.items()
        if (parts := split_metric(key)) and parts[0] == "val" and parts[2] in MEASURES and math.isfinite(value)
    }


def _settings(values: Mapping[str, Value]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if not _names_a_place(unstaged(k), v)}


def _names_a_place(path: str, value: Value) -> bool:
    """Whether a setting is, or may be, a file or folder of one machine. Words stand for models: ``minilm``."""
    if path.startswith("datasets.") and path.rsplit(".", 1)[-1] in PATHS:
        return True
    if not isinstance(value, str):
        return False
    if path in ("start", "text.templates", "text.model", "model.backbone.weights"):
        return not value.replace("_", "").replace("-", "").isalnum()
    return value.startswith(("/", "~", "\\")) or value[1:2] == ":"


def _earlier(study: _Study, gone: dict[str, None]) -> Earlier:
    flat = {**study.config, **{path: value for row in study.trials for path, value in row.drawn.items()}}
    lost = _lost(flat)
    gone.update(dict.fromkeys(lost))
    config = _without(study.config, lost)
    trials = tuple(_record(study, row, config, lost) for row in study.trials)
    data = {n: DataDescription(d.fingerprint, d.counts, d.synthetic) for n, d in study.data.items()}
    return Earlier(study.name, study.study_id, trials, data, study.alone)


def _record(study: _Study, row: _Trial, config: Mapping[str, Value], lost: Collection[str]) -> TrialRecord:
    if {len(row.samples)} != {len(row.samples), *map(len, row.metrics.values())}:
        raise UserError(f"trial {row.number} of study {study.name}: its figures are not of as many epochs each")
    drawn = _without(row.drawn, lost)
    epochs = tuple(
        EpochRecord(n, n, samples, {key: values[n - 1] for key, values in row.metrics.items()}, stage=row.stage)
        for n, samples in enumerate(row.samples, 1)
    )
    name = f"{study.study_id}-{row.number}"
    return TrialRecord(name, row.number, drawn, {**config, **drawn}, epochs, End(row.end))


def _lost(flat: Mapping[str, Value]) -> list[str]:
    """The paths that are no settings now, or whose value is none that they take."""
    lost: list[str] = []
    while found := [path for path in examined(_without(flat, lost))[1] if path in flat]:
        lost += found
    return lost


def _without(flat: Mapping[str, Value], lost: Collection[str]) -> dict[str, Value]:
    return {path: value for path, value in flat.items() if path not in lost}
