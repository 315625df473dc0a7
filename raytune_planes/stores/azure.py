"""Azure Blob Storage: account, login and server, by the variables that Microsoft's own programs read."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from raytune_planes.errors import UserError

if TYPE_CHECKING:
    from pyarrow import fs

    from raytune_planes.stores.address import Address

ACCOUNT, KEY, TOKEN = "AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN"
CONNECTION = "AZURE_STORAGE_CONNECTION_STRING"
"""``AccountName=…;AccountKey=…;BlobEndpoint=…``: all at once, as the portal shows it; the others count before it."""
SUFFIX = "core.windows.net"


@dataclass(frozen=True)
class Account:
    """A storage account and how it is reached."""

    name: str
    key: str = ""
    token: str = ""
    """A shared access signature, without its question mark."""
    scheme: str = "https"
    blobs: str = f".blob.{SUFFIX}"
    """Host of the server as pyarrow takes it: behind the account's name where it begins with a dot; else the account is
    the first part of the path there."""
    files: str = f".dfs.{SUFFIX}"
    """The same of its other service, for accounts with folders."""

    def opened(self, bucket: str, *, anonymous: bool) -> fs.FileSystem:
        """Raises what pyarrow does."""
        from pyarrow import fs

        if anonymous:  # which its constructor cannot say
            more = {"credential_kind": "anonymous", "enable_tls": str(self.scheme == "https").lower()}
            more |= {"blob_storage_authority": self.blobs, "dfs_storage_authority": self.files}
            return fs.FileSystem.from_uri(f"abfs://{bucket}@{self.name}.dfs.{SUFFIX}/?{urlencode(more)}")[0]
        places: dict[str, Any] = {"blob_storage_authority": self.blobs, "dfs_storage_authority": self.files}
        places |= {"blob_storage_scheme": self.scheme, "dfs_storage_scheme": self.scheme}
        token = None if self.key or not self.token else self.token
        return fs.AzureFileSystem(self.name, account_key=self.key or None, sas_token=token, **places)


def account_of(address: Address) -> Account:
    """The account that this host's environment names for ``address``. Raises UserError: none, or not clearly."""
    told = _told(address)
    name = os.environ.get(ACCOUNT) or told.get("accountname", "")
    if not name:
        raise UserError(f"{address}: name the storage account with {ACCOUNT}, or give {CONNECTION}")
    key = os.environ.get(KEY) or told.get("accountkey", "")
    token = (os.environ.get(TOKEN) or told.get("sharedaccesssignature", "")).removeprefix("?")
    if endpoint := told.get("blobendpoint"):
        return Account(name, key, token, *_server(address, name, endpoint))
    suffix = told.get("endpointsuffix", SUFFIX)
    scheme = told.get("defaultendpointsprotocol", "https")
    return Account(name, key, token, scheme, f".blob.{suffix}", f".dfs.{suffix}")


def has_login() -> bool:
    """Whether the environment holds a key or a signature."""
    told = os.environ.get(CONNECTION, "").lower()
    return bool(os.environ.get(KEY) or os.environ.get(TOKEN) or "accountkey=" in told or "signature=" in told)


def named() -> str:
    """Account and server that the environment names, without a login; other ones are other buckets of one name."""
    told = dict(_parts(os.environ.get(CONNECTION, "")))
    name = os.environ.get(ACCOUNT) or told.get("accountname", "")
    server = told.get("blobendpoint") or told.get("endpointsuffix", "")
    return f"{name} {server}".strip()


def _told(address: Address) -> dict[str, str]:
    """The connection string. Raises UserError, without a part of it: it is none."""
    text = os.environ.get(CONNECTION, "")
    told = dict(_parts(text))
    if text.strip() and not told.keys() & {"accountname", "blobendpoint"}:
        raise UserError(
            f"{address}: {CONNECTION} is no connection string; copy it whole, as the portal shows it: "
            "AccountName=…;AccountKey=…;EndpointSuffix=…"
        )
    return told


def _parts(text: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in text.split(";"))
    return [(key.strip().lower(), value.strip()) for key, _, value in pairs if value.strip()]


def _server(address: Address, name: str, endpoint: str) -> tuple[str, str, str]:
    """Scheme and hosts, as ``Account`` has them, of ``https://NAME.blob.SUFFIX`` or ``http://HOST:PORT/NAME``."""
    url = urlsplit(endpoint)
    if url.scheme in ("http", "https") and url.netloc.startswith(f"{name}.blob.") and not url.path.strip("/"):
        rest = url.netloc.removeprefix(f"{name}.blob")
        return url.scheme, f".blob{rest}", f".dfs{rest}"
    if url.scheme in ("http", "https") and url.netloc and url.path.strip("/") == name:
        return url.scheme, url.netloc, url.netloc
    raise UserError(
        f"{address}: the BlobEndpoint in {CONNECTION} is not that of the account {name}; give "
        f"https://{name}.blob.{SUFFIX}, or http://HOST:PORT/{name} of a server that speaks as Azure does"
    )
