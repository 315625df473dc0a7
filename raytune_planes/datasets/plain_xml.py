"""XML that others wrote, without what a document type may declare: entities that grow, or that name other files."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from raytune_planes.errors import UserError
from raytune_planes.paths import regular
from raytune_planes.printing import printable

LARGEST = 2**24
"""Bytes of a file; a picture with a thousand objects takes a fiftieth of it."""


class _WithoutTypes(ElementTree.TreeBuilder):
    """The parser calls ``doctype`` before it reads a declaration within."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise UserError("it declares a document type (<!DOCTYPE ...>), which may hide other files; remove that line")


def parsed(path: Path) -> ElementTree.Element:
    """The root element of a file. Raises UserError: it is no XML, too large, or declares a document type."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"it is larger than {LARGEST:,} bytes")
        return of_text(regular(path).read_bytes())
    except OSError as error:
        raise UserError(f"{printable(path)} cannot be read: {error.strerror or error}") from None
    except UserError as error:
        raise UserError(f"{printable(path)} is not read as XML: {error}") from None


def of_text(text: bytes | str) -> ElementTree.Element:
    """The root element. Raises UserError."""
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=_WithoutTypes()))
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that nobody knows
        raise UserError(str(error)) from None
