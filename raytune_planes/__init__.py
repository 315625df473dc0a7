"""Tune one model on several aircraft image datasets at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raytune_planes.api import Model, load_model, load_study, train, tune
    from raytune_planes.errors import UserError
    from raytune_planes.serving.answers import Answer
    from raytune_planes.study import Study, Trial

__version__ = "0.1.0"
__all__ = ["Answer", "Model", "Study", "Trial", "UserError", "load_model", "load_study", "train", "tune"]
_HOMES = {"Answer": "serving.answers", "Study": "study", "Trial": "study", "UserError": "errors"}
"""Where the public names are that are not in ``api``."""


def __getattr__(name: str) -> Any:
    """The public names, imported when they are first asked for: importing the package stays quick."""
    if name not in __all__:
        raise AttributeError(f"module 'raytune_planes' has no attribute '{name}'")
    from importlib import import_module

    return getattr(import_module(f"raytune_planes.{_HOMES.get(name, 'api')}"), name)


def __dir__() -> list[str]:
    """The public names: what is imported so far of the package's own modules is not shown."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])
