"""Google's store: pyarrow answers otherwise there than of S3 where something is missing; a real server is asked."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.commands.stored import folder_of
from raytune_planes.errors import UserError
from raytune_planes.stores import access
from raytune_planes.stores.access import StoreUnavailable, listing, opened
from raytune_planes.stores.address import Address, parsed
from raytune_planes.stores.lease import StoreLease
from raytune_planes.stores.mirror import Mirror
from raytune_planes.stores.staging import staged
from raytune_planes.stores.writing import write
from tests.stores.objects import objects_are_written_listed_read_and_removed

SERVE = (
    "import sys; from gcp_storage_emulator.server import create_server\n"
    "create_server('127.0.0.1', int(sys.argv[1]), in_memory=True).run()\n"
)
START_S = 60.0


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that answers as Google's does, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (tmp_path_factory.mktemp("gs") / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", SERVE, str(port)], stdout=log, stderr=log)
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    try:
        while True:
            with suppress(OSError), urllib.request.urlopen(f"{url}/storage/v1/b", timeout=5):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket(google: str, monkeypatch: pytest.MonkeyPatch) -> Address:
    monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", google)
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "planes")
    address = parsed(f"gs://anonymous@planes-{uuid.uuid4().hex[:8]}")  # a server without accounts
    opened(address).create_dir(address.bucket)
    return address


def test_objects_are_written_listed_read_and_removed(bucket: Address) -> None:
    objects_are_written_listed_read_and_removed(bucket)


def test_a_bucket_that_is_not_there_is_refused(bucket: Address, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["data", "gs://anonymous@absent-bucket/x"], ["best", "--out", "gs://anonymous@absent-bucket/x"]):
        assert main(words) == 2
        assert "there is no bucket 'absent-bucket'; make it first" in capsys.readouterr().err


def test_data_are_fetched_once_and_what_has_changed_again(bucket: Address, tmp_path: Path) -> None:
    store, said = opened(bucket), list[str]()
    place = bucket.below("aircraft")
    for name in ("a/1.bin", "b/2.bin"):
        write(store, place, name, name.encode())
    folder = staged(place, tmp_path, said.append, 2**30)
    staged(place, tmp_path, said.append, 2**30)
    write(store, place, "b/2.bin", b"changed")
    staged(place, tmp_path, said.append, 2**30)
    assert [(p.name, p.read_bytes()) for p in sorted(folder.rglob("*.bin"))] == [
        ("1.bin", b"a/1.bin"),
        ("2.bin", b"changed"),
    ]
    assert [line.split(",")[0] for line in said] == ["Fetching 2 files", "Fetching 1 file"]


def test_results_go_there_and_come_to_another_host(bucket: Address, tmp_path: Path) -> None:
    place = bucket.below("results")
    here, there = (Mirror(place, tmp_path / name, lambda _: 0, lambda _: None) for name in ("here", "there"))

    def kept(name: str) -> bool:
        return not name.startswith(".")

    (here.folder / "night").mkdir()
    (here.folder / "night" / "study.json").write_text("{}")
    (here.folder / "night" / "best.pt").write_bytes(b"w" * 100_000)
    assert here.send(kept) == 2
    assert here.send(kept) == 0
    assert there.fetch(kept) == 2
    assert (there.folder / "night" / "best.pt").read_bytes() == b"w" * 100_000
    (here.folder / "night" / "best.pt").unlink()
    assert here.send(kept) == 1
    assert there.fetch(kept) == 1
    assert not (there.folder / "night" / "best.pt").exists()


def test_one_driver_has_a_study(bucket: Address) -> None:
    store, place = opened(bucket), bucket.below("results")
    refused = pytest.raises(UserError, match="study 'night' is being run by process")
    with StoreLease(store, place, "night", lambda: None), refused, StoreLease(store, place, "night", lambda: None):
        pass
    with StoreLease(store, place, "night", lambda: None) as lease:
        assert lease.holds()


def test_commands_read_results_there(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    place = bucket.below("results")
    assert main(["best", "--out", str(place)]) == 2
    assert f"no study in {place}; run" in capsys.readouterr().err
    assert folder_of(place).is_relative_to(tmp_path / "state")


def test_missing_credentials_are_told_as_such(bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REQUEST_S", 1.0)
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody has logged in here, and it is no host of Google's
    monkeypatch.setenv("GCE_METADATA_ROOT", "127.0.0.1:9")
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    own = parsed(f"gs://{bucket.bucket}")
    with pytest.raises(UserError, match="and none were found.*give GOOGLE_APPLICATION_CREDENTIALS"):
        listing(opened(own), own)


def test_a_server_that_is_away_is_told_as_such(bucket: Address, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "REQUEST_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv("CLOUD_STORAGE_EMULATOR_ENDPOINT", f"http://127.0.0.1:{probe.getsockname()[1]}")
    with pytest.raises(StoreUnavailable, match="does not answer"):
        listing(opened(bucket), bucket)
