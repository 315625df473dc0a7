"""Which MLflow store and experiment a command works with: as typed, else as MLflow's variables say, else our own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.addresses import without_secrets
from raytune_planes.printing import printable
from raytune_planes.tracking.mlflow_connection import default_uri

URI, EXPERIMENT_NAME = "MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"
"""Variables of the environment that MLflow's own programs read."""
EXPERIMENT = "raytune-planes"


@dataclass(frozen=True)
class MlflowPlace:
    """A store, an experiment in it, and which variables named them."""

    uri: str
    experiment: str = EXPERIMENT
    variables: tuple[str, ...] = ()
    is_kept: bool = False
    """Whether the store is that of the study's own command line."""

    @staticmethod
    def of(
        out: Path,
        uri: str | None = None,
        experiment: str | None = None,
        environment: Mapping[str, str] = os.environ,
        kept: tuple[str, str] = ("", ""),
    ) -> MlflowPlace:
        """The place for the studies in ``out``: an argument counts before a variable, a variable before the default.

        Args:
            out: Folder of the studies; the default is the database in it.
            uri: As typed (``--tracking-uri``); None or empty where nothing was.
            experiment: As typed (``--experiment``), likewise.
            environment: An empty variable counts as none.
            kept: Store and experiment that the study itself was started with, empty for none: they count before the
                default alone.
        """
        named = {name: environment.get(name, "") for name in (URI, EXPERIMENT_NAME)}
        used = [name for name, typed in ((URI, uri), (EXPERIMENT_NAME, experiment)) if named[name] and not typed]
        return MlflowPlace(
            uri or named[URI] or kept[0] or default_uri(out),
            experiment or named[EXPERIMENT_NAME] or kept[1] or EXPERIMENT,
            tuple(used),
            bool(kept[0]) and not (uri or named[URI]),
        )

    def in_words(self) -> str:
        """One line for people where a variable or an earlier command line decides; else empty."""
        sources = [*self.variables, *["the study's command line"] * self.is_kept]
        if not sources:
            return ""
        return (
            f"MLflow: {without_secrets(self.uri)}, experiment '{printable(self.experiment)}' "
            f"(from {' and '.join(sources)}; --tracking-uri and --experiment count before)"
        )


def absolute(uri: str) -> str:
    """The same store from any folder: ``sqlite:///x.db`` and a plain path are taken from the present one."""
    prefix = "sqlite:///"
    if uri.startswith(prefix) and (path := uri.removeprefix(prefix)) and not path.startswith(("/", ":")):
        return f"{prefix}{Path(path).resolve()}"
    return uri if ":" in uri or uri == "databricks" else str(Path(uri).resolve())


@contextmanager
def current_store(uri: str) -> Iterator[None]:
    """Let MLflow's functions that take no address use ``uri``, and leave MLflow and the environment as they were.

    MLflow also writes the address into ``MLFLOW_TRACKING_URI``, where later commands of this process would read it.
    """
    import mlflow

    variable = os.environ.get(URI)
    before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None: as if none had been set
        if variable is None:
            os.environ.pop(URI, None)
        else:
            os.environ[URI] = variable
