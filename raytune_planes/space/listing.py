"""The search spaces that a person can choose from: those of the package, and files of their own in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.space import load_space, packaged
from raytune_planes.strict_yaml import strict_yaml


@dataclass(frozen=True)
class Listed:
    """One space, as a list shows it."""

    name: str
    """What ``tune`` and ``check`` take: the name of a packaged space, the path of any other."""
    about: str
    """The question that it asks."""
    dimensions: int
    trials: int
    fault: str = ""
    """Why it cannot be used; empty where it can."""


def listing(folder: Path) -> tuple[Listed, ...]:
    """The packaged spaces by name, then those among the YAML files directly in ``folder``: files with ``search``.

    Raises:
        UserError: ``folder`` is no folder.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; name one that holds YAML files of search spaces")
    return (*packaged_spaces(), *(_listed(name) for name in _own(folder)))


def packaged_spaces() -> tuple[Listed, ...]:
    """Those of the package, by name."""
    return tuple(_listed(name) for name in packaged())


def _own(folder: Path) -> Iterator[str]:
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".yaml", ".yml") and p.is_file()):
        try:
            is_space = "search" in strict_yaml(path.read_text(encoding="utf-8"), path.name, "search space")
        except (UserError, OSError, UnicodeDecodeError):
            continue  # some other YAML file: it need not be one of ours
        if is_space:
            yield str(path)


def _listed(name: str) -> Listed:
    try:
        space = load_space(name)
    except UserError as error:
        return Listed(name, "", 0, 0, str(error))
    return Listed(name, space.about, len(space.search), space.study.trials)
