"""The plan of a study, complete before the first trial, and the data that its trials need."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from raytune_planes.config import DECODED_FOR, Backbone, TrialConfig
from raytune_planes.datasets.base import Arrays
from raytune_planes.datasets.cache import LIMIT_GIB, default_cache, entry
from raytune_planes.datasets.folds import fingerprint, parted
from raytune_planes.errors import UserError
from raytune_planes.model import check_encoder
from raytune_planes.preparation.data import data_folder, open_data
from raytune_planes.preparation.measured import refuse_unmeasured
from raytune_planes.preparation.prompts import embed_prompts, prompts_key
from raytune_planes.preparation.synthetic_folder import Say
from raytune_planes.records import stage_names
from raytune_planes.settings import Value, make_config, overlaid, unstaged, value_of
from raytune_planes.space import Space, StudySettings, long_budget
from raytune_planes.stores.address import Address, Place
from raytune_planes.tracking.base import DataDescription, StudyStart
from raytune_planes.tracking.learnt import NOTHING, Learnt
from raytune_planes.training.start import weights_of
from raytune_planes.tuning.entries import Entry, counts
from raytune_planes.tuning.pools import Needs
from raytune_planes.tuning.trial import Task

PREPARED_FOR = (*DECODED_FOR, "prompt")
"""Settings of a dataset that decide its decoded arrays or its prompts."""


@dataclass(frozen=True)
class Material:
    """What trials train on, ready on disk."""

    entries: tuple[Entry, ...]
    prompts: Mapping[str, Mapping[str, np.ndarray]]
    """``prompts_key`` -> dataset -> embeddings of its class prompts, [K, W]."""
    data: Mapping[str, DataDescription]
    """By dataset, at its first size."""
    folder: Place | None = None
    """That was decoded, or the address that it was fetched from; None for synthetic pictures."""


@dataclass(frozen=True)
class StudyPlan:
    """A study as requested."""

    name: str
    space: Space
    """With the user's own settings worked in."""
    out: Path
    """Folder of all studies."""
    material: Material
    settings: StudySettings
    """The space's own, or what the command line said instead: trials, limits, sampler, rungs."""
    space_text: str = ""
    """The search space as YAML, kept with the study."""
    workers: int = 1
    """Processes that train one trial together."""
    cpus_per_worker: int = 1
    gpus_per_worker: float = 0.0
    cpu_hosts: bool = False
    """Whether hosts without a GPU train trials of their own, in addition to those with one."""
    concurrent: int | None = None
    """Trials at once; None for as many as fit."""
    seed: int = 0  # of the search; a trial's own seed is a setting
    search_db: str = ""  # address of the database of its search; empty for a file in its folder
    references: bool = False
    """Whether each dataset is trained alone too, to be compared with."""
    teachers: Mapping[str, Value] = field(default_factory=dict)
    """Settings that name the references as specialists to learn from; empty where no trial does (``with_teachers``)."""
    start_from: tuple[Mapping[str, Value], ...] = ()
    """Configurations to try after the defaults."""
    learnt: Learnt = NOTHING  # what earlier studies say is tried after these
    retries: int = 2
    """How often a trial that lost a process continues from its last checkpoint."""
    commit: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs(self) -> Needs:
        return Needs(self.workers, self.cpus_per_worker, self.gpus_per_worker, self.cpu_hosts)

    @property
    def final(self) -> int:
        """Epochs of the final training; 0 for none."""
        return long_budget(self.space, self.settings.final)

    @property
    def layers(self) -> tuple[Mapping[str, Value], ...]:
        """Settings of every trial, lowest first; what is drawn comes on top."""
        return (self.space.fixed, self.space.start, self.teachers, {"devices.threads": self.cpus_per_worker})

    def config(self, drawn: Mapping[str, Value]) -> TrialConfig:
        """Raises UserError when the drawn settings do not fit together."""
        return make_config(*self.layers, drawn, source=f"search space {self.space.name}")

    def task(self, folder: Path) -> Task:
        """What every trial of the study in ``folder`` receives; writes the prompts there."""
        prompts = {}
        for i, (model, embeddings) in enumerate(self.material.prompts.items()):
            path = folder.resolve() / f"prompts-{i}.npz"
            np.savez(path, allow_pickle=False, **embeddings)
            prompts[model] = str(path)
        return Task(
            layers=self.layers,
            entries=self.material.entries,
            prompts=prompts,
            goal=self.space.goal,
            study=str(folder.resolve()),
            data=self.material.folder,
            workers=self.workers,
            cpus_per_worker=self.cpus_per_worker,
            common_stages=common_stages(self.space) if self.settings.fork else 0,
        )

    def as_record(self) -> StudyStart:
        """What trackers receive of the study, started now."""
        return StudyStart(
            name=self.name,
            goal=self.space.goal,
            about=self.space.about,
            space=self.space.name,
            space_digest=self.space.digest,
            space_text=self.space_text,
            searched=tuple(d.path for d in self.space.search),
            seed=self.seed,
            trials=self.settings.trials,
            data=self.material.data,
            commit=self.commit,
            versions=self.versions,
            started_ms=int(time.time() * 1000),
            learnt=self.learnt,
        )


def common_stages(space: Space) -> int:
    """How many leading stages no searched setting reaches: it is another stage's, of a dataset that takes no part
    there, or the stage has a fixed value of its own."""
    flat = overlaid(space.fixed, space.start)
    names = stage_names(flat["plan"])
    paths = [d.path for d in space.search]
    if "plan" in paths:
        return 0
    return next((i for i, name in enumerate(names) if any(_reaches(path, name, flat) for path in paths)), len(names))


def _reaches(path: str, stage: str, flat: Mapping[str, Value]) -> bool:
    plain, own = unstaged(path), f"stages.{stage}."
    dataset = ".".join(plain.split(".")[:2]) if plain.startswith("datasets.") else ""
    if dataset and plain != f"{dataset}.enabled" and not value_of(flat, f"{own}{dataset}.enabled"):
        return False
    return path.startswith(own) or (path == plain and own + path not in flat)


def prepare(space: Space, data: Place | None, cache: Path | None, say: Say, limit_gib: float = LIMIT_GIB) -> Material:
    """Decode every dataset at every size that a trial of ``space`` may ask for, and embed the prompts; ``limit_gib`` is
    the size of ``cache`` above which what was unused longest is removed.

    Raises:
        UserError: files are missing or malformed, the text encoder or a backbone's weights are unavailable,
            ``start`` is no checkpoint, or a dataset does not measure a metric of the goal.
    """
    for path in _starts(space):
        weights_of(path)  # else each trial would find out for itself
    for backbone in _backbones(space):
        check_encoder(backbone)
    cache = (cache or default_cache()).resolve()
    pictures = data_folder(data, cache, limit_gib)
    entries: dict[Entry, Arrays] = {}
    prompts: dict[str, Mapping[str, np.ndarray]] = {}
    shown: set[str] = set()

    def say_once(text: str) -> None:
        if text not in shown:
            shown.add(text)
            say(text)

    configs = [stage for variant in _variants(space) for _, stage in variant.staged]
    for config in configs:
        arrays = open_data(config, pictures, cache, say_once, limit_gib, configs, at_once=True)
        for name, opened in arrays.items():
            folder = str(entry(cache, opened.fingerprint))
            entries[Entry(name, config.datasets[name].decoded_as, folder, counts(opened), opened.limit_bytes)] = opened
        infos = {name: opened.info for name, opened in arrays.items()}
        refuse_unmeasured(space.goal, infos)
        key = prompts_key(config)
        prompts[key] = {**prompts.get(key, {}), **embed_prompts(infos, config, cache)}
    split = make_config(space.fixed, space.start).split
    first = {e.dataset: a for e, a in reversed(entries.items())}
    known = {
        n: DataDescription(fingerprint(a, split), parted(a, split).counts(), a.synthetic) for n, a in first.items()
    }
    return Material(tuple(entries), prompts, known, data if isinstance(data, Address) else pictures)


def _starts(space: Space) -> list[Path]:
    """The checkpoints that trials may start from."""
    named = [
        *(stage.start for _, stage in make_config(space.fixed, space.start).staged),
        *(v for d in space.search if unstaged(d.path) == "start" for v in d.values()),
    ]
    return [Path(path) for path in dict.fromkeys(named) if path]


def _variants(space: Space) -> Iterator[TrialConfig]:
    """One configuration per combination of the searched settings that decide what is decoded or embedded."""
    deciding = [
        d
        for d in space.search
        if unstaged(d.path) in ("plan", "text.model", "text.templates")
        or (unstaged(d.path).startswith("datasets.") and d.path.split(".")[-1] in PREPARED_FOR)
    ]
    paths = {d.path for d in deciding}
    switched = [
        d.path for d in space.search if unstaged(d.path).startswith("datasets.") and d.path.endswith(".enabled")
    ]
    for values in itertools.product(*((*d.values(), *([_UNDRAWN] if d.when else [])) for d in deciding)):
        chosen = {d.path: v for d, v in zip(deciding, values, strict=True) if v is not _UNDRAWN}
        if any((d.path in chosen) != d.is_drawn(chosen) for d in deciding if d.when and paths >= d.when.keys()):
            continue
        on = dict.fromkeys(switched, True)
        with suppress(UserError):  # what the other conditions rule out: the space was checked
            yield make_config(space.fixed, space.start, chosen, on, source=f"search space {space.name}")
    if deciding:  # the defaults may lie outside of the ranges
        yield make_config(space.fixed, space.start, dict.fromkeys(switched, True), source=f"search space {space.name}")


_UNDRAWN = object()
"""The value of a dimension whose condition does not hold."""


def _backbones(space: Space) -> set[Backbone]:
    """Those that a trial may ask for."""
    paths = ("model.backbone.kind", "model.backbone.weights")
    searched = {d.path: d.values() for d in space.search if unstaged(d.path) in paths}
    combined = (dict(zip(searched, values, strict=True)) for values in itertools.product(*searched.values()))
    found = set()
    for chosen in combined:
        with suppress(UserError):  # a combination that does not fit together fails alone
            found |= {stage.model.backbone for _, stage in make_config(space.fixed, space.start, chosen).staged}
    return found
