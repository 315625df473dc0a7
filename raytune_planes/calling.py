"""Runs a command for a Python function: arguments as options, mistakes as exceptions that speak of the arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from raytune_planes.cli import Parser, make_parser
from raytune_planes.commands import stored
from raytune_planes.errors import UserError

COMMAND = re.compile(r"('?(?:(?:python3 -m )?uv run )?raytune-planes [a-z]+ [^'\n]*)")
"""A whole command in a message: up to its quote or the end of the line."""
OPTION = re.compile(
    r"(?:argument )?(?<![\w-])--(?P<name>[a-z][a-z-]*)"
    r"(?:=(?P<given>[^\s,;)]+)| (?P<value>[A-Z]{2,}\S*|\d[\d.]*|[^\s,;)]+(?=$|[,;)])))?"
)
"""An option, and its value where one follows: a number, a word in capitals, or a word before a comma or the end."""
ARGUMENTS = {"set": "settings", "studies": "out"}
"""Options that have another name in Python."""


def run(verb: str, words: list[str]) -> int:
    """What the command line runs, but a mistake is an exception."""
    args = make_parser(_Parser).parse_args([verb, *words])
    return stored.run(args)


class _Parser(Parser):
    """Raises where the command line ends."""

    def error(self, message: str) -> NoReturn:
        raise UserError(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise UserError(message or "no option 'help'; help(raytune_planes.tune) tells them")


def words(options: Mapping[str, Any]) -> list[str]:
    """Arguments of a function as options: ``no_rungs=True`` as ``--no-rungs``."""
    words: list[str] = []
    for key, value in options.items():
        option = f"--{key.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            # In one word, so that a value may begin with a dash.
            words += [f"{option}={each}" for each in (value if isinstance(value, list | tuple) else [value])]
    return words


def settings_words(settings: Mapping[str, Any] | None) -> list[str]:
    """Settings as options. Raises UserError: they are no mapping, or a value is of no kind that a setting has."""
    if not isinstance(settings, Mapping | None):
        raise UserError(f"settings={settings!r}: give dotted path -> value, such as {{'optim.lr': 0.001}}")
    return [f"--set={path}={json.dumps(value, default=_plain)}" for path, value in (settings or {}).items()]


def _plain(value: object) -> object:
    """A path as a text, a number of NumPy as one of Python."""
    if isinstance(value, Path) or hasattr(value, "item"):
        return str(value) if isinstance(value, Path) else value.item()
    raise UserError(f"settings: {value!r} is no number, text, true, false or None")


@contextmanager
def in_python() -> Iterator[None]:
    """What is wrong is told to someone who called a Python function."""
    try:
        yield
    except UserError as error:
        error.args = (as_arguments(str(error)),)
        raise


def as_arguments(message: str) -> str:
    """``--resume first`` -> ``resume='first'``, ``--set a.b=1`` -> ``settings={'a.b': 1}``; whole commands stay."""
    parts = COMMAND.split(message)
    return "".join(part if COMMAND.fullmatch(part) else OPTION.sub(_argument, part) for part in parts)


def _argument(found: re.Match[str]) -> str:
    option, value = found["name"], found["given"] or found["value"] or ""
    name = ARGUMENTS.get(option, option.replace("-", "_"))
    if not value:
        return name
    path, _, setting = value.partition("=")
    return f"settings={{{path!r}: {_literal(setting)}}}" if option == "set" and setting else f"{name}={_literal(value)}"


def _literal(value: str) -> str:
    is_plain = re.fullmatch(r"-?\d+(\.\d*)?([eE][-+]?\d+)?|[A-Z]{2,}", value)
    return value if is_plain else repr(value)
