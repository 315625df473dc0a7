"""Asks an object store: opens it with the credentials of this host, and says what its refusals mean."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from raytune_planes.errors import UserError, first_line
from raytune_planes.printing import printable
from raytune_planes.stores import azure
from raytune_planes.stores.address import ANONYMOUS, Address

if TYPE_CHECKING:
    from pyarrow import fs

CONNECT_S, REQUEST_S, ATTEMPTS = 10.0, 60.0, 4
"""Seconds for a connection and for an answer, and how often pyarrow asks before it gives up."""
CHUNK = 8 * 2**20
"""Bytes of an object that are read or written at a time."""
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile that AWS_PROFILE names, or the role of this host",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, 'gcloud auth application-default login', or this host's service account",
    "az": "AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_STORAGE_CONNECTION_STRING, 'az login', or this host's "
    "managed identity",
}
"""Where each kind of store finds them, in order."""
SERVERS = {"s3": "AWS_ENDPOINT_URL", "gs": "CLOUD_STORAGE_EMULATOR_ENDPOINT", "az": azure.CONNECTION}
"""The variable that names another server than the cloud's own."""
AWAY = re.compile(
    r"NETWORK_CONNECTION|[Cc]ould not (connect|resolve)|[Tt]imed? ?out|TIMEOUT|UNAVAILABLE|SLOW_DOWN|THROTTL"
    r"|INTERNAL_FAILURE|HTTP status 5\d\d|Connection (reset|refused)|curlCode"
)
NO_TOKEN = "OAuth2 access token"
"""Google's library says so, and that the store is unavailable, where it finds no credentials."""
NO_BUCKET = re.compile(r"NO_SUCH_BUCKET|Bucket '[^']*' not found|ContainerNotFound|bucket does not exist")
REFUSED = re.compile(
    r"ACCESS_DENIED|INVALID_ACCESS_KEY|SIGNATURE|TOKEN|UNRECOGNIZED_CLIENT|NOT_AUTHORIZED|[Cc]redential"
    rf"|{NO_TOKEN}|HTTP status 40[013]|PERMISSION_DENIED|UNAUTHENTICATED|Authenticat|Authoriz|Forbidden"
)
NOTHING_BELOW = "No such file or directory"
"""What pyarrow says of a prefix in Google's store below which nothing is, in an error that names no number."""
OTHER_REGION = re.compile(r"PERMANENT_REDIRECT|HTTP status 30\d|AuthorizationHeaderMalformed|region '")


class StoreUnavailable(UserError):
    """A store that gives no answer now, and may later."""


class Item(NamedTuple):
    """An object below an address."""

    name: str
    """Its path below the address."""
    size: int
    mtime_ns: int
    """When the store says that it was written; S3 knows seconds."""


@contextmanager
def asking(address: Address) -> Iterator[None]:
    """What the store's file system raises in this block becomes a UserError; ``FileNotFoundError`` passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, ValueError, NotImplementedError) as error:
        raise refusal(address, error) from error


def refusal(address: Address, error: BaseException) -> UserError:
    """What ``error`` of the store means, and what to do."""
    said, found = printable(first_line(error)), str(error)
    if OTHER_REGION.search(found):
        return UserError(
            f"{address}: the bucket is in another region; name it with AWS_REGION (the store says: {said})"
        )
    if NO_BUCKET.search(found):
        return UserError(f"{address}: there is no bucket '{address.bucket}'; make it first, or correct its name")
    if AWAY.search(found) and NO_TOKEN not in found:
        return StoreUnavailable(
            f"{address} does not answer: {said}. Check the network, and {SERVERS[address.scheme]} where it is set"
        )
    if REFUSED.search(found) and _has_none(address):
        return UserError(
            f"{address} refuses requests without credentials, and none were found in the environment or in a file: "
            f"give {CREDENTIALS[address.scheme]} (one with the right to it); a public bucket opens without any as "
            f"{address.scheme}://{ANONYMOUS}@{address.path} (the store says: {said})"
        )
    if REFUSED.search(found):
        known = "none are used" if address.anonymous else f"they are found in {CREDENTIALS[address.scheme]}"
        more = "" if address.anonymous else f"; a public bucket opens as {address.scheme}://{ANONYMOUS}@{address.path}"
        return UserError(f"{address} refuses these credentials ({known}){more} (the store says: {said})")
    return UserError(f"{address}: {said}")


def _has_none(address: Address) -> bool:
    """Whether neither the environment nor a file holds credentials for the store: it is asked without, or by the role
    of this host, if it has one that may."""
    if address.anonymous:
        return False
    has, home = os.environ.get, Path.home()
    if address.scheme == "s3":
        at = (
            has("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws" / "credentials",
            has("AWS_CONFIG_FILE") or home / ".aws/config",
        )
        given = has("AWS_ACCESS_KEY_ID") or has("AWS_PROFILE") or has("AWS_WEB_IDENTITY_TOKEN_FILE")
        return not given and not any(Path(path).is_file() for path in at)
    if address.scheme == "gs":
        known = has("GOOGLE_APPLICATION_CREDENTIALS") or home / ".config/gcloud/application_default_credentials.json"
        return not Path(known).is_file()
    return not (azure.has_login() or (home / ".azure").is_dir())


def opened(address: Address) -> fs.FileSystem:
    """The file system of the address. Raises UserError: it cannot be asked from here."""
    from pyarrow import fs

    with asking(address):
        if address.scheme == "gs":
            # It tries again for 15 minutes by default.
            return fs.GcsFileSystem(anonymous=address.anonymous, retry_time_limit=timedelta(seconds=REQUEST_S))
        if address.scheme == "az":
            return azure.account_of(address).opened(address.bucket, anonymous=address.anonymous)
        return _s3(address)


def local_name(address: Address) -> str:
    """A folder's name for the address on this host; buckets of one name at two servers or accounts have two."""
    server = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    told = f"{address.scheme}://{address.path} {server if address.scheme == 's3' else azure.named()}"
    return f"{address.bucket[:60]}-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


def _s3(address: Address) -> fs.FileSystem:
    from pyarrow import fs

    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or None
    return fs.S3FileSystem(
        anonymous=address.anonymous,
        region=region or (None if endpoint else fs.resolve_s3_region(address.bucket)),
        endpoint_override=endpoint,
        connect_timeout=CONNECT_S,
        request_timeout=REQUEST_S,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
        allow_delayed_open=True,  # one request for a small object instead of three
    )


def listing(store: fs.FileSystem, address: Address) -> list[Item]:
    """All objects below the address, by name; none where there are none.

    Raises:
        UserError: it cannot be asked, or a name would lead out of a folder or to two things at once.
    """
    from pyarrow import fs

    with asking(address):
        found = _below(store, address)
    start = len(address.path) + 1
    items = [Item(i.path[start:], i.size, i.mtime_ns or 0) for i in found if i.type == fs.FileType.File]
    parents = {parent for item in items for parent in _parents(item.name)}
    for item in items:
        if any(part in ("", ".", "..") for part in item.name.split("/")) or "\0" in item.name:
            raise UserError(f"{address}: the object '{printable(item.name)}' cannot be a file of a folder; rename it")
        if item.name in parents:
            raise UserError(f"{address}: '{printable(item.name)}' is an object and a folder of others; rename it")
    return sorted(items)


def _below(store: fs.FileSystem, address: Address) -> list[fs.FileInfo]:
    """What the store lists. Told to allow a prefix that is not there, pyarrow would say nothing of a missing bucket."""
    from pyarrow import fs

    try:
        return list(store.get_file_info(fs.FileSelector(address.path, recursive=True)))
    except FileNotFoundError:
        if address.scheme == "gs":  # Google's store says it of the bucket
            raise OSError("the bucket does not exist") from None
        if address.scheme == "az" and store.get_file_info([address.bucket])[0].type == fs.FileType.NotFound:
            raise OSError("the bucket does not exist") from None  # it says the same of the bucket and of a prefix
        return []
    except OSError as error:
        if address.scheme == "gs" and NOTHING_BELOW in str(error):
            return []
        raise


def _parents(name: str) -> Iterator[str]:
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name
