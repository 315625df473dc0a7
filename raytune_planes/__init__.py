"""Tune one model on several aircraft image datasets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raytune_planes.api import Model, Study, Trial, load_model, load_study, train, tune
    from raytune_planes.errors import UserError

__version__ = "0.1.0"
__all__ = ["Model", "Study", "Trial", "UserError", "load_model", "load_study", "train", "tune"]


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: importing the package stays quick."""
    if name not in __all__:
        raise AttributeError(f"module 'raytune_planes' has no attribute '{name}'")
    from importlib import import_module

    home = import_module("raytune_planes.errors" if name == "UserError" else "raytune_planes.api")
    return getattr(home, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
