"""The JSON schema of search-space files, from which editors complete paths and check values while a person types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytune_planes.catalog import standard
from raytune_planes.records import HIGHER_IS_BETTER, MEASURES
from raytune_planes.space.dimension import StudySettings
from raytune_planes.space.reference import ANY, rows

OTHERS = r"^(stages\.[A-Za-z0-9_-]+\.|datasets\.[^.]+\.)"
"""Paths of stages and of datasets of one's own: not listed one by one."""

_NUMBER = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^[0-9.]+[eE][+-]?[0-9]+$"}]}
"""YAML 1.1 reads 1e-5 as text."""
_RANGE = {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}
_STEPS = {"log": {"type": "boolean"}, "step": {"type": "number"}}
_KINDS: Mapping[str, Mapping[str, Any]] = {
    "float": {"float": _RANGE, **_STEPS},
    "int": {"int": _RANGE, **_STEPS},
    "choice": {"choice": {"type": "array", "minItems": 1}},
}


def space_schema() -> dict[str, Any]:
    """Draft 2020-12. What only `check` can see (conditions, both ends of each range, metrics of a dataset) is left to
    it: a file that this schema accepts may still be refused."""
    values = {path: dict(row.schema) for row in rows() for path in _paths(row.path)}
    names = "|".join(dict.fromkeys([*HIGHER_IS_BETTER, *MEASURES, "loss"]))
    metric = {"type": "string", "pattern": f"^val/[^/]+/({names}|[a-z]+_accuracy|top[0-9]+)$"}
    objective = _record({"metric": metric, "mode": {"enum": ["max", "min"]}}, required=["metric"])
    study = StudySettings.model_json_schema()
    searched = {path: _dimension(str(schema.get("description", ""))) for path, schema in values.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Search space of raytune-planes",
        **_record(
            {
                "format": {"const": 1},
                "about": {"type": "string", "description": "The question, in one sentence."},
                "objectives": {"type": "array", "minItems": 1, "items": objective},
                "floors": {"type": "object", "description": "Metrics that no trial may fall below."},
                "fixed": {**_record(values), "patternProperties": {OTHERS: {}}},
                "search": {**_record(searched), "patternProperties": {OTHERS: _dimension()}, "minProperties": 1},
                "study": {k: v for k, v in study.items() if k not in ("$defs", "title")},
            },
            required=["objectives", "search"],
        ),
        "$defs": {"dimension": _DIMENSION, **study["$defs"]},
    }


def _record(properties: Mapping[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    more = {"required": required} if required else {}
    return {"type": "object", "additionalProperties": False, "properties": dict(properties), **more}


def _dimension(about: str = "") -> dict[str, Any]:
    return {"$ref": "#/$defs/dimension", **({"description": " ".join(about.split())} if about else {})}


def _paths(path: str) -> list[str]:
    """One for each standard dataset, where ``path`` stands for all."""
    if path.startswith("stages."):
        return []
    return [path.replace(ANY, name, 1) for name in standard()] if ANY in path.split(".") else [path]


_WHEN = {
    "type": "object",
    "description": "Drawn only where each of these searched settings has the value, or one of the values.",
    "additionalProperties": {"not": {"type": "object"}},
}
_DIMENSION = {"oneOf": [_record({**kind, "when": _WHEN}, required=[name]) for name, kind in _KINDS.items()]}
