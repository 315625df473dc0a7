"""One S3 server for the tests of stores; each test has a bucket of its own, and may cut the line to it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stores.server import Server


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.close()


@pytest.fixture
def s3(running: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server, with the variables set with which this process asks it."""
    for name, value in Server.environment(tmp_path, running.url).items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    running.line.requests.clear()
    running.line.keys.clear()
    return running


@pytest.fixture
def bucket(s3: Server) -> str:
    name = f"planes-{uuid.uuid4().hex[:8]}"
    s3.client.create_bucket(Bucket=name)
    return name
