"""Every setting with its type, default and meaning, from the models of the settings."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from raytune_planes.catalog import CATALOG, standard
from raytune_planes.config import Dataset, TrialConfig
from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.settings import Value, defaults, flatten

ANY = "NAME"
"""Stands for a dataset's name in the paths of its settings."""

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One setting as a person reads it."""

    path: str
    """Dotted; ``datasets.NAME...`` for the settings of each dataset."""
    type: str
    """Words: ``integer from 1 to 8``."""
    default: str
    about: str
    schema: Schema
    """What a JSON schema says of its value."""


def rows(start: str = "") -> tuple[Row, ...]:
    """The settings whose path begins with ``start``, in the order of the tree. A dataset's name, also one of the user's
    own, stands for any.

    Raises:
        UserError: no setting begins so.
    """
    parts = start.split(".")
    if parts[0] == "datasets" and len(parts) > 1 and (parts[1] in CATALOG or own_dataset(start)):
        parts[1] = ANY
    prefix = ".".join(parts)
    every = tuple(_rows())
    matching = tuple(r for r in every if not start or r.path == prefix or r.path.startswith(f"{prefix}."))
    if not matching:
        if parts[0] == "datasets" and len(parts) > 1 and parts[1] != ANY:  # it is like a known name
            raise UserError(f"no dataset '{parts[1]}' (in '{start}'){did_you_mean(parts[1], CATALOG)}")
        known = {r.path for r in every} | {".".join(r.path.split(".")[:n]) for r in every for n in range(1, 6)}
        raise UserError(f"no setting or section '{start}'{did_you_mean(prefix, known)}")
    return matching


def own_dataset(start: str) -> str:
    """What a user's own dataset needs, where ``start`` names one; empty where its name is like a known one."""
    parts = start.split(".")
    if parts[0] != "datasets" or len(parts) < 2 or parts[1] in (ANY, "", *CATALOG) or did_you_mean(parts[1], CATALOG):
        return ""
    own = f"datasets.{parts[1]}"
    return (
        f"'{parts[1]}' is none of {', '.join(CATALOG)}, but may be a dataset of your own: set {own}.reader to one of "
        f"those, and {own}.root to its folder. In the list below, datasets.{ANY} stands for {own}."
    )


def as_text(rows: tuple[Row, ...]) -> str:
    """For a terminal: a line with path, type and default, then the meaning."""
    lines = [(f"{row.path}  ({row.type}; default {row.default})", row.about.replace("``", "'")) for row in rows]
    return "\n".join(f"{head}\n{textwrap.indent(textwrap.fill(about, 100), '    ')}" for head, about in lines)


def as_markdown() -> str:
    """The page ``search_spaces/SETTINGS.md``."""
    lines = [
        "# Settings",
        "",
        "Every setting of a trial. Its dotted path is its name in search spaces, in `--set`, in saved files, in MLflow",
        "and in messages; `datasets.NAME` stands for each dataset. `raytune-planes settings PATH` shows a part of this",
        "page, which `raytune-planes settings --markdown > search_spaces/SETTINGS.md` writes.",
    ]
    section = ""
    for row in rows():
        parts = row.path.split(".")
        own = ".".join(parts[:3] if parts[0] == "datasets" and len(parts) > 3 else parts[: max(1, len(parts) - 1)][:2])
        if own != section:
            section = own
            lines += ["", f"## {section}", "", "| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
        about = row.about.replace("|", "\\|").replace("``", "`")
        cells = (f"`{row.path}`", row.type, row.default, about)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _rows() -> Iterator[Row]:
    whole = TrialConfig.model_json_schema()
    defs = whole["$defs"]
    known = defaults()

    def walk(prefix: str, section: Schema) -> Iterator[Row]:
        for name, field in section["properties"].items():
            path = f"{prefix}{name}"
            if path == "datasets":
                yield from walk(f"datasets.{ANY}.", _resolved(field["additionalProperties"], defs))
            elif path == "stages":
                yield Row("stages.STAGE.SETTING", "any setting", "none", _one_line(field["description"]), {})
            elif "properties" in (inner := _resolved(field, defs)):
                yield from walk(f"{path}.", inner)
            else:
                yield Row(path, _words(field), _default(path, known), _one_line(field.get("description", "")), field)

    yield from walk("", whole)


def _resolved(field: Schema, defs: Schema) -> Schema:
    reference = field.get("$ref", "")
    resolved: Schema = defs[reference.rsplit("/", 1)[-1]] if reference else field
    return resolved


def _default(path: str, known: Mapping[str, Value]) -> str:
    if ANY not in path:
        return _shown(known[path])
    plain = flatten(Dataset())[path.split(".", 2)[2]]
    of_each = {name: known[path.replace(ANY, name, 1)] for name in standard()}
    others = [f"{name}: {_shown(value)}" for name, value in of_each.items() if value != plain]
    return _shown(plain) + (f" ({', '.join(others)})" if others else "")


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return {None: "null", "": "empty"}.get(value, f"{value:g}" if isinstance(value, float) else str(value))


def _words(field: Schema) -> str:
    """A type in words: ``one of adamw, sgd, lion``, ``number above 0 and up to 1``."""
    if "anyOf" in field:
        return " or ".join(_words(option) for option in field["anyOf"])
    if "enum" in field:
        return f"one of {', '.join(map(str, field['enum']))}"
    if "const" in field:
        return str(field["const"])
    kind = {"boolean": "true or false", "integer": "integer", "number": "number", "string": "text", "null": "null"}[
        field["type"]
    ]
    low = f"from {field['minimum']:g}" if "minimum" in field else ""
    low = f"above {field['exclusiveMinimum']:g}" if "exclusiveMinimum" in field else low
    high = f"to {field['maximum']:g}" if "maximum" in field else ""
    high = f"below {field['exclusiveMaximum']:g}" if "exclusiveMaximum" in field else high
    step = f"in steps of {field['multipleOf']:g}" if "multipleOf" in field else ""
    return " ".join(part for part in (kind, low, high, step) if part)


def _one_line(text: str) -> str:
    return " ".join(text.split())
