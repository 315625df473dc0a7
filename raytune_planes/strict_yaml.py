"""YAML that people wrote, read strictly: no key twice, no aliases, no depth or size that settings do not need."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from raytune_planes.errors import UserError
from raytune_planes.printing import printable

LARGEST_BYTES = 200_000
DEEPEST = 8
MOST = 5_000
"""Words and numbers in a file; every setting of twenty datasets needs a third of it."""


def strict_yaml(text: str, name: str, holds: str) -> dict[str, Any]:
    """The mapping that ``text``, read from ``name``, holds; ``holds`` is what is expected of it, for messages.

    Raises:
        UserError: it is no YAML mapping, or one that is too large, too deep, holds an alias or a key twice.
    """
    if len(text.encode()) > LARGEST_BYTES:
        raise UserError(f"{name} is larger than {LARGEST_BYTES:,} bytes; a file of {holds} is short")
    try:
        depth = count = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            count += isinstance(event, yaml.ScalarEvent)
            if count > MOST:
                raise UserError(f"{name} holds more than {MOST:,} words and numbers; a file of {holds} is short")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                what = "an alias (*name)" if isinstance(event, yaml.AliasEvent) else f"more than {DEEPEST} levels"
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise UserError(f"{name}, line {line}: {what}; a file of {holds} needs neither aliases nor nesting")
        tree = yaml.load(text, Loader=_Loader)
    except RecursionError:  # "? ? ? ..." is deep before it is any event
        raise UserError(f"{name} is nested too deeply; a file of {holds} needs neither aliases nor nesting") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-45
        raise UserError(f"{name} cannot be read as YAML: {_reason(error, text)}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{name} holds no {holds}; expected lines like 'optim.lr: 0.001' or sections like 'search:'")
    return tree


def _reason(error: Exception, text: str) -> str:
    """What is wrong, with line, column and the line itself."""
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    if not isinstance(error, yaml.MarkedYAMLError) or mark is None:
        return str(error)
    lines = [printable(line.rstrip()) for line in text.splitlines()]
    shown = f" ('{lines[mark.line]}')" if mark.line < len(lines) and lines[mark.line] else ""
    where = f"line {mark.line + 1}, column {mark.column + 1}{shown}"
    return f"{where}: {error.problem}; look at indentation, brackets and quotes"


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML would silently keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        line_of: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if isinstance(key.value, str) and key.value in line_of:
                raise yaml.YAMLError(
                    f"line {line}: '{key.value}' occurs here and in line {line_of[key.value]}; keep one"
                )
            if isinstance(key.value, str):
                line_of[key.value] = line
        return super().construct_mapping(node, deep=deep)
