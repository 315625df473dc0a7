"""Credentials of a store: of the environment, of a profile, or none; a refusal says where they are looked for."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.stores.server import Server

LIST = (
    "import sys; from raytune_planes.stores.address import parsed; from raytune_planes.stores.access import *\n"
    "from raytune_planes.errors import UserError\n"
    "address = parsed(sys.argv[1])\n"
    "try: print([item.name for item in listing(opened(address), address)])\n"
    "except UserError as error: print(error)\n"
)
"""In a process of its own: the library reads the files of profiles once."""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str, str]]:
    """A server that asks for credentials, with the access key and secret of the one user it knows."""
    server = Server(tmp_path_factory.mktemp("guarded"))
    server.client.create_bucket(Bucket="planes")
    server.client.put_object(Bucket="planes", Key="data/x.bin", Body=b"1")
    key, secret = server.demand_credentials()
    yield server, key, secret
    server.close()


class Denies(BaseHTTPRequestHandler):
    """Answers a request without credentials as S3 does; moto breaks down over it where it demands them."""

    def do_GET(self) -> None:
        said = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def denying() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Denies) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def listed(server: Server, folder: Path, address: str, **variables: str) -> str:
    own = {**os.environ, **Server.environment(folder, server.url), **variables}
    environment = {name: value for name, value in own.items() if value}
    server.line.keys.clear()
    return subprocess.run([sys.executable, "-c", LIST, address], env=environment, capture_output=True, text=True).stdout


def test_credentials_of_the_environment_are_used(guarded: tuple[Server, str, str], tmp_path: Path) -> None:
    server, key, secret = guarded
    own = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
    assert listed(server, tmp_path, "s3://planes/data", **own) == "['x.bin']\n"
    assert set(server.line.keys) == {key}


def test_credentials_of_a_profile_are_used(guarded: tuple[Server, str, str], tmp_path: Path) -> None:
    server, key, secret = guarded
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = other\naws_secret_access_key = other\n"
        f"[planes]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n"
    )
    own = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_PROFILE": "planes"}
    assert listed(server, tmp_path, "s3://planes/data", **own) == "['x.bin']\n"
    assert set(server.line.keys) == {key}


def test_wrong_credentials_are_refused_with_where_they_are_looked_for(
    guarded: tuple[Server, str, str], tmp_path: Path
) -> None:
    said = listed(guarded[0], tmp_path, "s3://planes/data")
    assert "s3://planes/data refuses these credentials (they are found in AWS_ACCESS_KEY_ID and" in said
    assert (
        "the profile that AWS_PROFILE names, or the role of this host); a public bucket opens as s3://anonymous@"
        in said
    )


def test_that_there_are_no_credentials_at_all_is_said_with_how_to_give_them(
    s3: Server, denying: str, tmp_path: Path
) -> None:
    none = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "HOME": str(tmp_path), "AWS_ENDPOINT_URL": denying}
    said = listed(s3, tmp_path, "s3://planes/data", **none)
    assert "and none were found in the environment or in a file: give AWS_ACCESS_KEY_ID and" in said
    assert "a public bucket opens without any as s3://anonymous@planes/data" in said


def test_no_credentials_are_used_where_none_are_wanted(s3: Server, bucket: str, tmp_path: Path) -> None:
    s3.client.put_object(Bucket=bucket, Key="data/x.bin", Body=b"1")
    assert listed(s3, tmp_path, f"s3://{bucket}/data") == "['x.bin']\n"
    assert set(s3.line.keys) == {"test"}
    s3.line.requests.clear()
    assert listed(s3, tmp_path, f"s3://anonymous@{bucket}/data") == "['x.bin']\n"
    assert s3.line.requests
    assert s3.line.keys == [], "no request is signed"
