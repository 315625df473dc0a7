"""Dotted settings to a typed config and back; refuses what does not exist, all problems at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ValidationError

from raytune_planes.catalog import CATALOG, standard
from raytune_planes.config import Dataset, TrialConfig
from raytune_planes.errors import UserError, did_you_mean, listed
from raytune_planes.misfits import explained
from raytune_planes.paths import regular
from raytune_planes.records import stage_names
from raytune_planes.strict_yaml import strict_yaml

MOST_NAMED = 20
"""Unknown paths that are named one by one."""
PATHS = ("root", "clean", "link_roots", "teacher")
"""Settings of a dataset that name a file or folder, or several with commas between."""

Value = Any  # a leaf: bool, int, float, str or None


class Setting(NamedTuple):
    """One leaf of the tree, for listings and suggestions."""

    path: str
    default: Value
    type: object
    about: str


def make_config(*layers: Mapping[str, Value], source: str = "settings") -> TrialConfig:
    """The config that results when each of ``layers`` (dotted path -> value) overrides those before it.

    Starts from the defaults. Raises UserError naming every unknown path and every value out of range.
    """
    config, problems = examined(*layers)
    if config is None or problems:
        raise listed(problems.values(), source)
    return config


def examined(*layers: Mapping[str, Value]) -> tuple[TrialConfig | None, dict[str, str]]:
    """The config of the settings that are right, None where these do not go together, and path -> what is wrong."""
    flat = overlaid(*layers)
    known = _known(flat)
    strangers = [path for path in flat if path not in known]
    problems = {path: unknown(path, flat) for path in strangers[:MOST_NAMED]}  # each is compared with every setting
    if len(strangers) > MOST_NAMED:
        problems[""] = f"and {len(strangers) - MOST_NAMED:,} more that are no settings"
    right = {path: value for path, value in flat.items() if path in known}
    try:
        return TrialConfig.model_validate(nest(right)), problems
    except ValidationError as error:
        wrong = explained(error, right)
    untouched = [{path: v for path, v in layer.items() if path in right and path not in wrong} for layer in layers]
    try:
        rest = TrialConfig.model_validate(nest(overlaid(*untouched)))
    except ValidationError:
        rest = None
    return rest, problems | wrong


def overlaid(*layers: Mapping[str, Value]) -> dict[str, Value]:
    """Every setting that results when each of ``layers`` overrides those before it; nothing is checked."""
    flat = defaults()
    for layer in layers:
        flat.update(layer)
    return _of_new_datasets(flat) | flat


def defaults() -> dict[str, Value]:
    """Every setting of the standard datasets and of the rest of the tree, by dotted path."""
    flat = {f"datasets.{name}.{k}": v for name in standard() for k, v in _dataset_defaults(name).items()}
    return flat | {k: v for k, v in flatten(TrialConfig.model_construct()).items() if not k.startswith("datasets")}


def only(names: Sequence[str], *layers: Mapping[str, Value]) -> dict[str, Value]:
    """The settings that let exactly the datasets ``names`` take part, of the standard ones and those in ``layers``."""
    flat = {k: v for layer in layers for k, v in layer.items()}
    return {f"datasets.{n}.enabled": n in names for n in dict.fromkeys([*_dataset_names(flat), *names])}


def flatten(config: BaseModel) -> dict[str, Value]:
    """Dotted path -> value of every leaf."""
    return dict(_leaves("", config.model_dump()))


def nest(flat: Mapping[str, Value]) -> dict[str, Any]:
    """``{"a.b": 1}`` -> ``{"a": {"b": 1}}``."""
    tree: dict[str, Any] = {}
    for path, value in flat.items():
        *branches, leaf = path.split(".")
        node = tree
        for branch in branches:
            node = node.setdefault(branch, {})
        node[leaf] = value
    return tree


def settings() -> Iterator[Setting]:
    """Every setting with its default, type and meaning; a dataset's under each standard name."""
    flat = defaults()
    for path, (kind, about) in _documented(TrialConfig):
        if path in ("datasets", "stages"):
            continue
        yield Setting(path, flat[path], kind, about)
    for name in standard():
        for path, (kind, about) in _documented(Dataset):
            yield Setting(f"datasets.{name}.{path}", flat[f"datasets.{name}.{path}"], kind, about)


def unknown(path: str, flat: Mapping[str, Value]) -> str:
    """Why ``path`` is no setting, or ``""``; ``flat`` tells which datasets the user has added."""
    known, names = _known(flat), _dataset_names(flat)
    if path in known:
        return ""
    parts = path.split(".")
    if parts[0] == "stages" and len(parts) > 2:
        inside = unknown(".".join(parts[2:]), {k: v for k, v in flat.items() if not k.startswith("stages.")})
        return f"stage '{parts[1]}': {inside or 'a stage has no stages of its own'}"
    if parts[0] == "datasets" and len(parts) > 1 and parts[1] not in names:
        fixed = (
            did_you_mean(parts[1], [*names, *CATALOG])
            or f"; a dataset of your own names its reader: datasets.{parts[1]}.reader"
        )
        return f"no dataset '{parts[1]}' (in '{path}'){fixed}"
    branch = [k for k in known if k.startswith(path + ".")]
    if branch:
        return f"'{path}' is a section, not a setting; it holds {', '.join(sorted(branch)[:4])}, ..."
    return f"no setting '{path}'{did_you_mean(path, known)}"


def load(path: Path) -> dict[str, Value]:
    """A saved configuration (nested or dotted YAML) as dotted settings. Raises UserError with file and line."""
    try:
        text = regular(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"no file {path}; give the path of a saved configuration") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as YAML: {error}") from None
    return dict(_leaves("", strict_yaml(text, str(path), "settings")))


def parse_assignments(assignments: list[str]) -> dict[str, Value]:
    """``["a.b=1"]`` -> ``{"a.b": 1}``; values are read as YAML scalars. Raises UserError."""
    wrong = [a for a in assignments if "=" not in a]
    if wrong:
        raise listed([f"'{a}' has no '='; write PATH=VALUE" for a in wrong], "--set")
    try:
        return {a.split("=", 1)[0].strip(): _scalar(a.split("=", 1)[1]) for a in assignments}
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2024-13-45
        raise UserError(f"--set: a value cannot be read: {error}") from None


def path_made_absolute(assignment: str) -> str:
    """A ``PATH=VALUE`` that names a file or folder, so that it means the same wherever it is read again."""
    path, _, value = assignment.partition("=")
    named = value.strip()
    if not _is_file(path.strip(), named):
        return assignment
    several = named.split(",") if path.strip().endswith(".link_roots") else [named]
    return f"{path}={', '.join(str(Path(part.strip()).expanduser().absolute()) for part in several)}"


def _is_file(path: str, value: str) -> bool:
    """Whether the setting ``path`` takes a file or folder, and ``value`` is one rather than one of its words."""
    if path.startswith("datasets."):
        return path.rsplit(".", 1)[-1] in PATHS and bool(value)
    return {
        "start": bool(value),
        "text.templates": value.endswith(".txt"),
        "model.backbone.weights": Path(value).exists(),
    }.get(path, False)


def _scalar(text: str) -> Value:
    value = yaml.safe_load(text)
    if isinstance(value, str) and value == text.strip():  # YAML 1.1 reads 1e-5 as text; '0' in quotes is one
        try:
            return float(value)
        except ValueError:
            return value
    return value


def value_of(flat: Mapping[str, Value], path: str) -> Value:
    """What the setting ``path`` is in a whole configuration; of a stage that does not say, the rest of the tree's."""
    return flat[path] if path in flat else flat[unstaged(path)]


def unstaged(path: str) -> str:
    """``stages.pretrain.optim.lr`` -> ``optim.lr``; any other path as it is."""
    return path.split(".", 2)[-1] if path.startswith("stages.") else path


def epochs_in_all(flat: Mapping[str, Value]) -> int:
    """Epochs of a trial with a whole configuration: of all its stages, or on all its folds, together."""
    paths = [f"stages.{name}.budget.epochs" for name in stage_names(flat.get("plan", ""))]
    once = sum(value_of(flat, path) for path in paths or ["budget.epochs"])
    return once * (flat["split.folds"] if flat.get("split.kind") == "kfold" else 1)


def _known(flat: Mapping[str, Value]) -> set[str]:
    plain = set(defaults()) | {f"datasets.{n}.{k}" for n in _dataset_names(flat) for k in _dataset_defaults(n)}
    stages = {k.split(".")[1] for k in flat if k.startswith("stages.")} | set(stage_names(str(flat.get("plan", ""))))
    return plain | {f"stages.{stage}.{k}" for stage in stages for k in plain if k != "plan"}


def _dataset_names(flat: Mapping[str, Value]) -> list[str]:
    """The standard datasets, those of the catalog that a setting names, and those that name their reader."""
    own = [k.split(".")[1] for k, v in flat.items() if k.startswith("datasets.") and k.endswith(".reader") and v]
    named = [name for name in CATALOG if any(k.startswith(f"datasets.{name}.") for k in flat)]
    return list(dict.fromkeys([*standard(), *named, *own]))


def _of_new_datasets(flat: Mapping[str, Value]) -> dict[str, Value]:
    """Defaults of the datasets that settings added, where not set."""
    full = {f"datasets.{n}.{k}": v for n in _dataset_names(flat) for k, v in _dataset_defaults(n).items()}
    return {k: v for k, v in full.items() if k not in flat}


def _dataset_defaults(name: str) -> dict[str, Value]:
    own = CATALOG[name].defaults if name in CATALOG else {}
    return flatten(Dataset()) | dict(own)


def _leaves(prefix: str, value: Any) -> Iterator[tuple[str, Value]]:
    if isinstance(value, dict) and (value or not prefix):
        for key, inner in value.items():
            yield from _leaves(f"{prefix}.{key}" if prefix else str(key), inner)
    elif value != {}:
        yield prefix, value


def _documented(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, tuple[object, str]]]:
    for name, field in model.model_fields.items():
        path, kind = f"{prefix}{name}", field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _documented(kind, path + ".")
        else:
            yield path, (kind, field.description or "")
