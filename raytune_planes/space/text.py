"""YAML that people wrote, read strictly: no key twice, no aliases, no depth or size that a space does not need."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from raytune_planes.errors import UserError

LARGEST_BYTES = 200_000
DEEPEST = 8


def strict_yaml(text: str, name: str) -> dict[str, Any]:
    """The mapping that ``text`` holds.

    Raises:
        UserError: it is no YAML mapping, or one that is too large, too deep, holds an alias or a key twice.
    """
    if len(text.encode()) > LARGEST_BYTES:
        raise UserError(f"{name} is larger than {LARGEST_BYTES:,} bytes; a search space is a short file")
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                what = "an alias (*name)" if isinstance(event, yaml.AliasEvent) else f"more than {DEEPEST} levels"
                line = event.start_mark.line + 1 if event.start_mark else 1
                raise UserError(f"{name}, line {line}: {what}; a search space needs neither aliases nor deep nesting")
        tree = yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2024-13-45
        raise UserError(f"{name} cannot be read as YAML: {error}") from None
    if not isinstance(tree, dict):
        raise UserError(f"{name} holds no search space; expected sections such as 'objectives:' and 'search:'")
    return tree


class _Loader(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML would silently keep the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in seen and isinstance(key.value, str):
                raise yaml.YAMLError(f"line {line}: '{key.value}' stands here and in line {seen[key.value]}; keep one")
            if isinstance(key.value, str):
                seen[key.value] = line
        return super().construct_mapping(node, deep=deep)
