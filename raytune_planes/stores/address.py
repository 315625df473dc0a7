"""Addresses of object stores: ``s3://BUCKET/PREFIX`` and its siblings, read and refused before anything is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from raytune_planes.errors import UserError
from raytune_planes.paths import ADDRESS

KINDS = {
    "s3": "Amazon S3, or a server that speaks as it does",
    "gs": "Google Cloud Storage",
    "az": "Azure Blob Storage",
}
"""Scheme -> what stands behind it."""
ANONYMOUS = "anonymous"
FORM = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+):/{1,2}(?P<bucket>[^/]*)/*(?P<prefix>.*)", re.DOTALL)
BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]+")
SHAPES = ", ".join(f"{scheme}://BUCKET/PREFIX" for scheme in KINDS)


@dataclass(frozen=True)
class Address:
    """A bucket, or what is below a prefix of it. ``str()`` is its URL, which holds no secret."""

    scheme: str
    bucket: str
    prefix: str = ""
    """Without slashes at its ends."""
    anonymous: bool = False
    """Asked without credentials."""

    @property
    def path(self) -> str:
        """``BUCKET/PREFIX``, as the store's file system names it."""
        return f"{self.bucket}/{self.prefix}".rstrip("/")

    def below(self, name: str) -> Address:
        return replace(self, prefix=f"{self.prefix}/{name}".strip("/"))

    def parted(self) -> tuple[Address, str]:
        """The address above it, and its last part. Raises UserError: it is a whole bucket."""
        above, _, name = self.prefix.rpartition("/")
        if not name:
            raise UserError(f"{self} is a whole bucket; name a folder in it, such as {self}/train")
        return replace(self, prefix=above), name

    def __str__(self) -> str:
        return f"{self.scheme}://{f'{ANONYMOUS}@' * self.anonymous}{self.path}"


Place = Path | Address
"""Where data are, or results go."""


def where(text: str) -> Place:
    """The folder, or the address of an object store, that ``text`` names. Raises UserError: it is another address."""
    return parsed(text) if ADDRESS.match(text) else Path(text)


def parsed(text: str) -> Address:
    """``s3://BUCKET/PREFIX`` as an address; also where somebody's ``Path`` has made one slash of two.

    Raises:
        UserError: the scheme is unknown, the bucket is missing, or a login stands in the address, which is not shown.
    """
    found = FORM.fullmatch(text)
    scheme = found["scheme"].lower() if found else ""
    if found is None or scheme not in KINDS:
        raise UserError(f"'{_shown(text)}' is an address of a kind that is not known; give a folder, or {SHAPES}")
    login, _, bucket = found["bucket"].rpartition("@")
    if (login and login != ANONYMOUS) or ":" in found["bucket"]:
        raise UserError(
            f"a login stands in the address {scheme}://…: records and logs would keep it. Leave it out; credentials "
            "are found in the environment, in the profile or in the role of this host "
            f"({scheme}://{ANONYMOUS}@BUCKET asks without any)"
        )
    if not BUCKET.fullmatch(bucket):
        raise UserError(f"'{text}' names no bucket{f': {bucket!r} cannot be one' * bool(bucket)}; give {SHAPES}")
    prefix = found["prefix"].rstrip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise UserError(f"'{text}': a prefix has no empty part, '.' or '..'; give {scheme}://{bucket}/PREFIX")
    return Address(scheme, bucket, prefix, bool(login))


def _shown(text: str) -> str:
    """An address without a login."""
    return re.sub(r"(:/+)[^/]*@", r"\1…@", text)
