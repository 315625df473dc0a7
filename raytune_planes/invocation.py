"""Commands that messages name, called as this program was called and with short paths, so that they work as pasted."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

INSIDE_UV, MODULE_OF = "UV_RUN_RECURSION_DEPTH", "UV_INTERNAL__PARENT_INTERPRETER"
"""Variables that ``uv run`` sets; the second where uv itself was started as ``python3 -m uv``."""
PROGRAM, MODULE = "raytune-planes", "raytune_planes"
SOURCE = ".address"
"""In a folder of results that are kept in an object store: its address."""
RESULTS = Path("results")
"""Where results go, and are looked for, without ``--out``."""


def command(
    arguments: str, environment: Mapping[str, str] = os.environ, called: Sequence[str] = tuple(sys.orig_argv)
) -> str:
    """``raytune-planes ARGUMENTS``, for a shell, with what stood before it when this program was called.

    Args:
        arguments: The verb and its options, quoted for a shell.
        environment: Of this process.
        called: The command line of this process, its interpreter first.
    """
    if runner := runner_of(environment):
        return f"{runner}{PROGRAM} {arguments}"
    if tuple(called[1:3]) == ("-m", MODULE):
        return f"{shlex.quote(called[0])} -m {MODULE} {arguments}"
    script = Path(called[1]) if len(called) > 1 else Path()
    on_path = shutil.which(PROGRAM, path=environment.get("PATH"))
    is_known = on_path is not None and script.exists() and script.samefile(on_path)
    name = quoted(script) if script.name == PROGRAM and not is_known else PROGRAM
    return f"{name} {arguments}"


def runner_of(environment: Mapping[str, str] = os.environ) -> str:
    """What stands before a program of this environment: ``uv run ``, ``python3 -m uv run `` or nothing."""
    if INSIDE_UV not in environment:
        return ""
    return "python3 -m uv run " if environment.get(MODULE_OF) else "uv run "


def near(path: Path) -> Path:
    """``path`` from the current folder where it lies below it, else whole."""
    whole, here = Path(os.path.abspath(path)), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def quoted(path: Path) -> str:
    """``near(path)`` as one word for a shell, that no program takes for an option."""
    text = str(near(path))
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def in_folder(out: Path) -> str:
    """The option that names the results folder ``out``, after a space; empty where no option means it. Of a folder that
    holds what is in an object store, the store's address."""
    if place := address_of(out):
        return f" --out {shlex.quote(place)}"
    return "" if near(out) == RESULTS else f" --out {quoted(out)}"


def predicting(model: Path, images: str = "IMAGE") -> str:
    """The command that predicts with the model in the folder ``model``, on any machine where its results are in an
    object store."""
    place, name = _in_store(model)
    if place:
        return command(f"predict {shlex.quote(name)} {images} --studies {shlex.quote(place)}")
    return command(f"predict {quoted(model)} {images}")


def told_as(path: Path) -> str:
    """A path for people: below the address of which its folder is a copy, else as it is."""
    place, name = _in_store(path)
    return f"{place}/{name}" if place else str(path)


def _in_store(path: Path) -> tuple[str, str]:
    """The address of the results in which ``path`` is, and its name below it; empty where they are in no store."""
    whole = path.absolute()
    found = ((address_of(results), whole.relative_to(results).as_posix()) for results in whole.parents)
    return next((each for each in found if each[0]), ("", ""))


def shown(out: Path) -> str:
    """The results folder ``out`` for people: the address of which it holds a copy, else its path."""
    return address_of(out) or str(out)


def address_of(out: Path) -> str:
    """The address in an object store of which the results folder ``out`` holds a copy; empty where of none."""
    try:
        return (out / SOURCE).read_text(encoding="utf-8")
    except OSError:
        return ""
