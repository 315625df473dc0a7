"""The Python functions: tune, train, load a study, use a model. Covered by semantic versioning."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.calling import in_python, run, settings_words, words
from raytune_planes.commands import stored
from raytune_planes.errors import UserError
from raytune_planes.invocation import command
from raytune_planes.paths import as_path, there
from raytune_planes.records import End, TrialRecord
from raytune_planes.stores.address import where
from raytune_planes.study import Study
from raytune_planes.tracking import files, reading

if TYPE_CHECKING:
    from raytune_planes.serving.answers import Answer
    from raytune_planes.serving.predictor import Model as Loaded

PICTURE = "the path of a picture, as str or pathlib.Path, or the bytes of a picture file"


class Model:
    """A trained model that answers for pictures.

    >>> model = rp.load_model("first")
    >>> model
    Model('planesnet', 'fgvc')
    >>> model.datasets
    ('planesnet', 'fgvc')
    >>> answer = model.predict("chip.png", dataset="planesnet")
    >>> [label for label, probability in answer.labels if probability > 0.5] in (["plane"], ["no plane"])
    True
    """

    def __init__(self, loaded: Loaded) -> None:
        self._loaded = loaded

    def __repr__(self) -> str:
        return f"Model({', '.join(map(repr, self.datasets))})"

    @property
    def datasets(self) -> tuple[str, ...]:
        """Those that it was trained on: any of them may answer."""
        return tuple(self._loaded.infos)

    @in_python()
    def predict(
        self,
        picture: str | Path | bytes,
        *,
        dataset: str | None = None,
        texts: str | Iterable[str] = (),
        scale: float | None = None,
    ) -> Answer:
        """What the model sees in one picture.

        Args:
            picture: A picture file, or the bytes of one.
            dataset: Whose head answers; None for the only one that learnt pictures of that size.
            texts: Sentences, or one, that are compared with the picture.
            scale: Of scenes: pixels of the scene for each pixel of the training pictures, such as 6 for a scene of
                0.5 m per pixel and chips of 3 m; None for 1.

        Returns:
            ``labels`` with probabilities, ``boxes`` in pixels of the picture and a ``mask`` [H, W] of probabilities,
            where the dataset has them; ``to_dict()`` holds plain values, without the mask.

        Raises:
            UserError: the picture cannot be read, or neither ``dataset`` nor its size names one that was learnt.
        """
        from raytune_planes.serving.answers import answer

        source = picture if isinstance(picture, bytes) else as_path(picture, "picture", PICTURE)
        sentences = [texts] if isinstance(texts, str) else [*texts]
        if not all(isinstance(text, str) for text in sentences) or not isinstance(scale, int | float | None):
            raise UserError(
                f"texts={sentences!r:.80}, scale={scale!r:.20}: give sentences as str, and scale as a number"
            )
        return answer(self._loaded, source, None if dataset is None else str(dataset), sentences, scale)


@in_python()
def tune(
    space: str | Path = "quick",
    *,
    data: str | Path | None = None,
    out: str | Path = "results",
    name: str | None = None,
    resume: str | None = None,
    settings: Mapping[str, Any] | None = None,
    **options: Any,
) -> Study:
    """Run a study to its end: the same as ``raytune-planes tune``.

    >>> study = rp.tune("mine.yaml", data="data", name="first", trials=2, settings={"budget.epochs": 2})
    >>> len(study.trials())
    2

    Args:
        space: A packaged space or a YAML file.
        data: Folder with the datasets, or its address, ``s3://BUCKET/PREFIX``; None draws synthetic data.
        out: Folder of the results, or an address likewise.
        name: Of the study; from the space and the time when None.
        resume: Name of a study in ``out`` to continue.
        settings: Dotted path -> value, over those of the space.
        options: Any other option of the command, with underscores: ``trials=20``, ``workers=2``, ``no_rungs=True``.

    Returns:
        The study. ``study.end`` is ``interrupted`` after Ctrl-C; ``study.best`` is None when no trial is complete.

    Raises:
        UserError: anything that cannot be run: an option, a setting, the space, the data.
    """
    from raytune_planes.space import load_space

    folder = as_path(out, "out")
    name = str(resume or name or f"{load_space(space).name}-{time.strftime('%Y%m%d-%H%M%S')}")
    given = [f"--resume={name}"] if resume else [str(space), f"--name={name}"]
    run("tune", [*given, *words({"data": data, "out": folder, **options}), *settings_words(settings)])
    return Study(files.study_folder(stored.folder_of(where(str(folder))), name))


@in_python()
def train(
    settings: Mapping[str, Any] | None = None,
    *,
    data: str | Path | None = None,
    out: str | Path = "results/train",
    **options: Any,
) -> TrialRecord:
    """Train one configuration: the same as ``raytune-planes train``.

    >>> record = rp.train({"budget.epochs": 1, "budget.steps_per_epoch": 2}, data="data", only="planesnet")
    >>> [epoch.samples for epoch in record.epochs]
    [64]

    Args:
        settings: Dotted path -> value, over the defaults.
        data: Folder with the datasets, or its address, ``s3://BUCKET/PREFIX``; None draws synthetic data.
        out: Folder of the run, or its address, ``s3://BUCKET/PREFIX/NAME``.
        options: Any other option of the command, with underscores: ``only="fgvc"``, ``resume=True``.

    Returns:
        Its record: settings, and metrics of every epoch.

    Raises:
        UserError: anything that cannot be run, or ``folds``: use the command, which trains several models.
    """
    if options.get("folds"):
        raise UserError(f"train(folds=...) trains several models; use '{command('train --folds K')}'")
    folder = as_path(out, "out")
    status = run("train", [*words({"data": data, "out": folder, **options}), *settings_words(settings)])
    folder = stored.training_folder_of(where(str(folder)))
    epochs, _ = reading.read_epochs(folder / files.EPOCHS)
    from raytune_planes.settings import load

    end = End.FAILED if status else End.COMPLETED
    return TrialRecord("train", 0, {}, load(folder / files.CONFIG), epochs=epochs, end=end)


@in_python()
def load_study(study: str | Path, *, out: str | Path = "results") -> Study:
    """A study by its folder, or by its name in ``out``; also while it runs.

    >>> rp.load_study("results/first").name == rp.load_study("first").name
    True
    >>> rp.load_study("frist")
    Traceback (most recent call last):
    raytune_planes.errors.UserError: no study 'frist' in results; did you mean 'first'?; there are: first

    Args:
        study: Its folder, or its name.
        out: Folder of the results, where a name is looked for.

    Returns:
        The study as its files stand at each look.

    Raises:
        UserError: there is no such study.
    """
    path = as_path(study, "study")
    if there(path) and (path / files.STUDY).is_file():
        return Study(path)
    return Study(files.find_study(stored.opened(where(str(as_path(out, "out")))), str(study)))


@in_python()
def load_model(model: str | Path, *, out: str | Path = "results", tracking_uri: str | None = None) -> Model:
    """A trained model, ready to answer.

    >>> rp.load_model("results/train/best.pt").datasets
    ('planesnet',)

    Args:
        model: A ``best.pt``, a study (its best trial), an ensemble's folder, ``runs:/ID`` or ``models:/NAME@champion``.
        out: Folder of the results, where a study's name is looked for.
        tracking_uri: The MLflow server or database that ``runs:`` and ``models:`` are looked for in; None for that
            of ``MLFLOW_TRACKING_URI``, else the one in ``out``.

    Returns:
        The model, on a GPU where there is one.

    Raises:
        UserError: there is no such model.
    """
    from raytune_planes.commands.find_model import find_model

    place = stored.opened(where(str(as_path(out, "out"))), str(model))
    return Model(find_model(str(model), place, tracking_uri))
