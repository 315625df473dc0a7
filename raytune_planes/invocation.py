"""Commands that messages name, with the prefix by which this program was called, so that they work as pasted."""

from __future__ import annotations

import os
from collections.abc import Mapping

INSIDE_UV, MODULE_OF = "UV_RUN_RECURSION_DEPTH", "UV_INTERNAL__PARENT_INTERPRETER"
"""Variables that ``uv run`` sets; the second where uv itself was started as ``python3 -m uv``."""


def command(arguments: str, environment: Mapping[str, str] = os.environ) -> str:
    """``raytune-planes ARGUMENTS``, behind ``uv run`` or ``python3 -m uv run`` where this process was started so.

    Args:
        arguments: The verb and its options, quoted for a shell.
        environment: Of this process.
    """
    if INSIDE_UV not in environment:
        return f"raytune-planes {arguments}"
    uv = "python3 -m uv run" if environment.get(MODULE_OF) else "uv run"
    return f"{uv} raytune-planes {arguments}"
