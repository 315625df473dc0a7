"""Azure's store: what its variables say, and how pyarrow answers where something is missing; a real server is asked."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.stores import azure
from raytune_planes.stores.access import StoreUnavailable, listing, local_name, opened
from raytune_planes.stores.address import Address, parsed
from raytune_planes.stores.azure import ACCOUNT, CONNECTION, KEY, TOKEN, account_of
from raytune_planes.stores.lease import StoreLease
from raytune_planes.stores.mirror import Mirror
from raytune_planes.stores.staging import staged
from raytune_planes.stores.writing import write
from tests.stores.objects import objects_are_written_listed_read_and_removed

SERVER = "azurite@3.35.0"
"""Microsoft's emulator, a package of npm."""
OWNER = "devstoreaccount1"
LOGIN = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Of the emulator, published by Microsoft: no secret."""
START_S = 240.0
"""The package is fetched once."""
PLACE = parsed("az://planes/results")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ACCOUNT, KEY, TOKEN, CONNECTION):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("said", "scheme", "blobs", "files"),
    [
        ("AccountName=a;AccountKey=k==", "https", ".blob.core.windows.net", ".dfs.core.windows.net"),
        ("AccountName=a;EndpointSuffix=core.chinacloudapi.cn", "https", ".blob.core.chinacloudapi.cn", None),
        ("DefaultEndpointsProtocol=http;AccountName=a", "http", ".blob.core.windows.net", None),
        ("AccountName=a;BlobEndpoint=https://a.blob.core.us.net/", "https", ".blob.core.us.net", ".dfs.core.us.net"),
        ("AccountName=a;BlobEndpoint=http://127.0.0.1:10000/a;", "http", "127.0.0.1:10000", "127.0.0.1:10000"),
    ],
)  # fmt: skip
def test_a_connection_string_names_account_and_server(
    said: str, scheme: str, blobs: str | None, files: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, said)
    found = account_of(PLACE)
    assert (found.name, found.scheme) == ("a", scheme)
    assert blobs is None or found.blobs == blobs
    assert files is None or found.files == files
    assert found.key == ("k==" if "k==" in said else "")


def test_the_single_variables_count_before_the_connection_string(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONNECTION, "AccountName=a;AccountKey=k;SharedAccessSignature=?sv=1&sig=2")
    assert (account_of(PLACE).name, account_of(PLACE).key, account_of(PLACE).token) == ("a", "k", "sv=1&sig=2")
    monkeypatch.setenv(ACCOUNT, "b")
    monkeypatch.setenv(KEY, "own")
    monkeypatch.setenv(TOKEN, "?sig=own")
    assert (account_of(PLACE).name, account_of(PLACE).key, account_of(PLACE).token) == ("b", "own", "sig=own")
    assert azure.has_login()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("", f"name the storage account with {ACCOUNT}, or give {CONNECTION}"),
        ("AccountKey=secret", f"{CONNECTION} is no connection string"),
        ("just-a-secret", f"{CONNECTION} is no connection string"),
        ("AccountName=a;BlobEndpoint=https://files.example/", "is not that of the account a"),
        ("AccountName=a;BlobEndpoint=https://b.blob.core.windows.net", "is not that of the account a"),
    ],
)
def test_what_names_no_account_is_refused_and_no_secret_repeated(
    said: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CONNECTION, said)
    with pytest.raises(UserError, match=why) as refused:
        opened(PLACE)
    assert "secret" not in str(refused.value)


def test_buckets_of_one_name_in_two_accounts_or_at_two_servers_have_two_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = set()
    for said in ("AccountName=a", "AccountName=b", "AccountName=a;BlobEndpoint=http://127.0.0.1:1/a"):
        monkeypatch.setenv(CONNECTION, said)
        names.add(local_name(PLACE))
        monkeypatch.setenv(CONNECTION, f"{said};AccountKey=k")
        names.add(local_name(PLACE))
    assert len(names) == 3


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of the emulator, in processes of its own."""
    if not shutil.which("npx"):
        pytest.skip("npx, which brings the emulator, is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("az")
    program = ["npx", "--yes", "--package", SERVER, "azurite-blob", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    quiet = ["--inMemoryPersistence", "--skipApiVersionCheck", "--silent", "--disableTelemetry"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*program, *quiet], stdout=log, stderr=log, cwd=folder, start_new_session=True)
    deadline = time.monotonic() + START_S
    try:
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5):
                break
            if process.poll() is not None and b"npm error network" in (folder / "log").read_bytes():
                pytest.skip("npm cannot fetch the emulator")
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.1)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # npx, its shell and the server
        process.wait()


def at(port: int) -> str:
    return f"DefaultEndpointsProtocol=http;AccountName={OWNER};BlobEndpoint=http://127.0.0.1:{port}/{OWNER};"


@pytest.fixture
def bucket(server: int, monkeypatch: pytest.MonkeyPatch) -> Address:
    monkeypatch.setenv(CONNECTION, f"{at(server)}AccountKey={LOGIN}")
    address = parsed(f"az://planes-{uuid.uuid4().hex[:8]}")
    opened(address).create_dir(address.bucket)
    return address


@pytest.mark.slow
def test_objects_are_written_listed_read_and_removed(bucket: Address) -> None:
    objects_are_written_listed_read_and_removed(bucket)


@pytest.mark.slow
def test_a_container_that_is_not_there_is_refused(bucket: Address, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (
        ["data", "az://absent-one/x"],
        ["best", "--out", "az://absent-one/x"],
        ["best", "--out", "az://absent-one"],
    ):
        assert main(words) == 2
        assert "there is no bucket 'absent-one'; make it first" in capsys.readouterr().err


@pytest.mark.slow
def test_data_are_fetched_once_and_what_has_changed_again(bucket: Address, tmp_path: Path) -> None:
    store, said, place = opened(bucket), list[str](), bucket.below("aircraft")
    for name in ("a/1.bin", "b/2.bin"):
        write(store, place, name, name.encode())
    folder = staged(place, tmp_path, said.append, 2**30)
    staged(place, tmp_path, said.append, 2**30)
    write(store, place, "b/2.bin", b"changed since")  # within one second, which is all that this store tells
    staged(place, tmp_path, said.append, 2**30)
    assert [(p.name, p.read_bytes()) for p in sorted(folder.rglob("*.bin"))] == [
        ("1.bin", b"a/1.bin"),
        ("2.bin", b"changed since"),
    ]
    assert [line.split(",")[0] for line in said] == ["Fetching 2 files", "Fetching 1 file"]


@pytest.mark.slow
def test_results_go_there_and_come_to_another_host_and_one_driver_has_a_study(bucket: Address, tmp_path: Path) -> None:
    store, place = opened(bucket), bucket.below("results")
    here, there = (Mirror(place, tmp_path / name, lambda _: 0, lambda _: None) for name in ("here", "there"))

    def kept(name: str) -> bool:
        return not name.startswith(".")

    (here.folder / "night").mkdir()
    (here.folder / "night" / "study.json").write_text("{}")
    (here.folder / "night" / "best.pt").write_bytes(b"w" * 100_000)
    assert here.send(kept) == 2
    assert there.fetch(kept) == 2
    (here.folder / "night" / "best.pt").unlink()
    assert here.send(kept) == 1
    assert there.fetch(kept) == 1
    assert not (there.folder / "night" / "best.pt").exists()
    refused = pytest.raises(UserError, match="study 'night' is being run by process")
    with StoreLease(store, place, "night", lambda: None), refused, StoreLease(store, place, "night", lambda: None):
        pass
    with StoreLease(store, place, "night", lambda: None) as lease:
        assert lease.holds()


@pytest.mark.slow
def test_a_wrong_key_and_none_and_a_server_that_is_away_are_told_as_such(
    bucket: Address, server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # nobody has logged in here
    monkeypatch.setenv(KEY, "AAAA")
    with pytest.raises(UserError, match="refuses these credentials .they are found in AZURE_STORAGE_KEY"):
        listing(opened(bucket), bucket)
    monkeypatch.delenv(KEY)
    private = parsed(f"az://anonymous@{bucket.bucket}")
    monkeypatch.setenv(CONNECTION, at(server))
    with pytest.raises(UserError, match="refuses these credentials .none are used"):
        listing(opened(private), private)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        monkeypatch.setenv(CONNECTION, f"{at(probe.getsockname()[1])}AccountKey={LOGIN}")
    with pytest.raises(StoreUnavailable, match=f"does not answer.*{CONNECTION}"):
        listing(opened(bucket), bucket)
