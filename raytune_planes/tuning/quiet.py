"""What libraries say to programmers is kept from the users of this program."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Ray's and torch's deprecation warnings are not for users of this program."""
    with warnings.catch_warnings():
        for kind in (DeprecationWarning, FutureWarning, UserWarning, ResourceWarning, RuntimeWarning):
            warnings.filterwarnings("ignore", category=kind, module=r"(ray|torch|optuna|mlflow|pydantic)\b.*")
        # Of a start of Ray that failed: Ray forgets its processes.
        warnings.filterwarnings("ignore", message=r"subprocess \d+ is still running", category=ResourceWarning)
        yield
