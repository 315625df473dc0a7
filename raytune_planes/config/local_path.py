"""Settings that name a file or folder of this machine; addresses of object stores are refused."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from raytune_planes.errors import UserError
from raytune_planes.paths import local


def checked(text: str) -> str:
    """``text`` itself. Raises ValueError, from which pydantic makes its message, where it is no local path."""
    try:
        local(text)
    except UserError as error:
        raise ValueError(str(error)) from None
    return text


def all_local(text: str) -> str:
    """``text`` itself, where each of its parts between commas is a local path. Raises ValueError."""
    for part in text.split(","):
        checked(part.strip())
    return text


LocalPath = Annotated[str, AfterValidator(checked)]
"""A file or folder of this machine, or a word that stands for one."""
