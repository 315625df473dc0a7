"""Search spaces: from a YAML file, checked before anything starts, to what a study may vary."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from raytune_planes.config import TrialConfig
from raytune_planes.errors import UserError, did_you_mean, listed
from raytune_planes.paths import local, regular
from raytune_planes.printing import counted
from raytune_planes.settings import Value, defaults, make_config, overlaid, unknown, value_of
from raytune_planes.space.check import cautioned, check, problems
from raytune_planes.space.dimension import (
    SAMPLERS,
    AtRandom,
    Dimension,
    Draw,
    Given,
    RungSettings,
    Space,
    StudySettings,
    holds,
    show,
    suggest,
)
from raytune_planes.space.file import read
from raytune_planes.space.final import lengthened, long_budget, long_in_all, longer, planned, refuse_short

__all__ = [
    "SAMPLERS",
    "AtRandom",
    "Dimension",
    "Draw",
    "Given",
    "RungSettings",
    "Space",
    "StudySettings",
    "cautioned",
    "check",
    "describe",
    "lengthened",
    "load_space",
    "long_budget",
    "long_in_all",
    "longer",
    "packaged",
    "planned",
    "refuse_short",
    "suggest",
    "trial_config",
    "with_base",
    "with_fixed",
]

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_WHEEL = _PACKAGE / "search_spaces"
FOLDER = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent / "search_spaces"
"""Inside the package in an installed wheel, beside it in a checkout: no working folder can hide it."""


def load_space(name_or_path: str | Path) -> Space:
    """The space of a YAML file: by its path, or by the name of one that comes with the package.

    Raises:
        UserError: there is no such file, or it does not describe a space that can run; names every problem.
    """
    path = _path_of(str(name_or_path))
    try:
        text = regular(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"search space {path} cannot be read: {error}") from None
    named = f"search space {path if path.parent != FOLDER else path.stem}"
    space, form = read(text, path.stem, named)
    faults = [*form, *problems(space)]
    if faults:
        raise listed(dict.fromkeys(faults), named)
    return space


def packaged() -> tuple[str, ...]:
    """Names of the spaces that come with the package."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def with_base(space: Space, layer: Mapping[str, Value]) -> Space:
    """The space over another base (``--config FILE``): searched settings stay searched and start at its values."""
    searched = {d.path for d in space.search}
    start = {k: v for k, v in layer.items() if k in searched}
    fixed = {k: v for k, v in layer.items() if k not in searched}
    return replace(space, fixed={**space.fixed, **fixed}, start={**space.start, **start})


def with_fixed(space: Space, layer: Mapping[str, Value]) -> Space:
    """The space with the settings of ``layer`` fixed (``--set PATH=VALUE``): a dimension among them is removed.

    Conditions on a fixed setting are resolved: what can no longer be drawn is removed too.

    Raises:
        UserError: a path is no setting, or nothing is left to search.
    """
    fixed = {**space.fixed, **layer}
    wrong = [text for path in layer if (text := unknown(path, {**defaults(), **fixed}))]
    if wrong:
        raise listed(wrong, "--set")
    kept: list[Dimension] = []
    for dimension in space.search:
        alive = {d.path for d in kept}
        holds_all = all(p in alive or (p in layer and holds(v, layer[p])) for p, v in dimension.when.items())
        if dimension.path not in layer and holds_all:
            kept.append(replace(dimension, when={p: v for p, v in dimension.when.items() if p in alive}))
    if not kept:
        raise UserError(
            f"every setting that search space {space.name} varies is fixed with --set; nothing is left to search"
        )
    start = {k: v for k, v in space.start.items() if k not in layer}
    return replace(space, fixed=fixed, search=tuple(kept), start=start)


def trial_config(space: Space, drawn: Mapping[str, Value]) -> TrialConfig:
    """The whole configuration of the trial that drew ``drawn``.

    Raises:
        UserError: values that do not fit together.
    """
    return make_config(space.fixed, space.start, drawn, source=f"search space {space.name}")


def describe(space: Space) -> str:
    """The space as a table of text: every dimension with its range, default and condition."""
    flat = overlaid(space.fixed, space.start)
    goal = [f"{o.mode} {o.metric}" for o in space.goal.objectives]
    goal += [f"keep {metric} >= {floor:g}" for metric, floor in space.goal.floors.items()]
    goal += [f"keep {metric} >= {space.goal.relative[metric]}" for metric in space.goal.unknown]
    rows = [("setting", "searched", "default", "only when")]
    for d in space.search:
        value = value_of(flat, d.path)
        default = show(value) + ("" if d.contains(value) else " (outside)")
        when = ", ".join(f"{p} is {' or '.join(map(show, v))}" for p, v in d.when.items())
        rows.append((d.path, d.text(), default, when))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    table = ["  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]
    fixed = [f"  {path} = {show(value)}" for path, value in sorted(space.fixed.items())]
    study = space.study
    limits = [counted(study.trials, "trial"), f"{study.hours:g} h" if study.hours else ""]
    limits += [counted(study.samples, "sample") if study.samples else ""]
    limits += [f"{counted(study.patience, 'trial')} without a better best" if study.patience else ""]
    final = planned(space, study.final)
    others = ", others pause" if study.rungs.rule == "promote" else ""
    rungs = f"rungs from {study.rungs.grace:g} of a trial, 1 trial in {study.rungs.reduction} continues{others}"
    return "\n".join(
        [
            f"{space.name}: {space.about}" if space.about else space.name,
            f"goal: {'; '.join(goal)}",
            f"ends after: {' or '.join(filter(None, limits))}",
            *([f"each trial: trained on {flat['split.folds']} folds"] if flat["split.kind"] == "kfold" else []),
            f"sampler: {study.sampler}; {rungs if study.rungs.enabled else 'no rungs'}",
            *([final] if final else []),
            f"{counted(len(space.search), 'dimension')}:",
            *table,
            *(["fixed:", *fixed] if fixed else []),
        ]
    )


def _path_of(name: str) -> Path:
    path = local(name).expanduser()
    if path.suffix in (".yaml", ".yml") or os.sep in name or "/" in name:
        if not path.is_file():
            raise UserError(f"no search space {name}; give the path of a YAML file or one of: {', '.join(packaged())}")
        return path
    if name in packaged():
        return FOLDER / f"{name}.yaml"
    raise UserError(
        f"no search space '{name}'{did_you_mean(name, packaged())}; there are: {', '.join(packaged())}; "
        f"a file of your own is named by its path, such as ./{name}.yaml"
    )
