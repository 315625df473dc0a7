"""What is wrong with values of settings, in words, from what the library that checks them reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from raytune_planes.invocation import command


def explained(error: ValidationError, flat: Mapping[str, Any]) -> dict[str, str]:
    """Path -> a sentence for each setting that is wrong; of one that may be of several kinds, what each of them asks.

    What is wrong with several settings together has the path of their section, which may be empty.
    """
    wrong: dict[str, list[ErrorDetails]] = {}
    for each in error.errors():
        parts = [str(part) for part in each["loc"]]
        while len(parts) > 1 and ".".join(parts) not in flat:  # behind the setting stands the kind that was tried
            parts.pop()
        wrong.setdefault(".".join(parts), []).append(each)
    return {path: _explain(path, errors) for path, errors in wrong.items()}


def lowered(sentence: str) -> str:
    """A library's sentence as the rest of one of ours."""
    return f"{sentence[0].lower()}{sentence[1:]}"


def _explain(path: str, errors: Sequence[ErrorDetails]) -> str:
    if not path:
        return "; ".join(str(e["ctx"]["error"]) if "ctx" in e and "error" in e["ctx"] else e["msg"] for e in errors)
    return f"{path} = {errors[0]['input']!r}: {', or '.join(_reason(path, error) for error in errors)}"


def _reason(path: str, error: ErrorDetails) -> str:
    match error["type"]:
        case "string_pattern_mismatch":
            return f"it has another form; '{command(f'settings {path}')}' tells which"
        case "bool_parsing" | "bool_type":
            return "input should be true or false"
        case _:
            return lowered(error["msg"])
