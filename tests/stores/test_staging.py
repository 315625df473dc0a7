"""Data in a bucket: copied once a host, whole, and again only what has changed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.stores import staging
from raytune_planes.stores.access import StoreUnavailable, listing, opened
from raytune_planes.stores.address import parsed
from raytune_planes.stores.staging import PARTS, SPARED_S, fetch, folder_of, is_same, staged
from tests.stores.server import Server

LIMIT = 2**30


def copied(address: str, cache: Path, said: list[str] | None = None) -> Path:
    return staged(parsed(address), cache, (said if said is not None else []).append, LIMIT)


def fetched_names(s3: Server) -> list[str]:
    """Objects whose content was read since the last look."""
    names = [path.rpartition("/")[2] for method, path in s3.line.requests if method == "GET" and "?" not in path]
    s3.line.requests.clear()
    return sorted(names)


def content(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_only_what_has_changed_is_fetched_again(s3: Server, bucket: str, tmp_path: Path) -> None:
    for name in ("a/1.bin", "a/2.bin", "b/3.bin"):
        s3.client.put_object(Bucket=bucket, Key=f"data/{name}", Body=name.encode())
    s3.client.put_object(Bucket=bucket, Key="database/no.bin", Body=b"another prefix that begins alike")
    folder = copied(f"s3://{bucket}/data", tmp_path)
    assert content(folder) == {name: name.encode() for name in ("a/1.bin", "a/2.bin", "b/3.bin")}
    assert fetched_names(s3) == ["1.bin", "2.bin", "3.bin"]
    assert copied(f"s3://{bucket}/data/", tmp_path) == folder
    assert fetched_names(s3) == []
    s3.client.put_object(Bucket=bucket, Key="data/a/2.bin", Body=b"another length")
    s3.client.delete_object(Bucket=bucket, Key="data/b/3.bin")
    copied(f"s3://{bucket}/data", tmp_path)
    assert content(folder) == {"a/1.bin": b"a/1.bin", "a/2.bin": b"another length"}
    assert fetched_names(s3) == ["2.bin"]
    assert not (folder / "b").exists()
    folder.joinpath("a/1.bin").write_bytes(b"7 bytes")  # somebody's change of a copy
    copied(f"s3://{bucket}/data", tmp_path)
    assert (folder / "a/1.bin").read_bytes() == b"a/1.bin"


def test_an_object_that_is_replaced_while_it_is_copied_is_copied_again_and_one_that_goes_is_left_out(
    s3: Server, bucket: str, tmp_path: Path
) -> None:
    address, key = parsed(f"s3://{bucket}/data"), "data/x.bin"
    real = opened(address)

    class Racing:
        """Somebody writes between the store's answer about the size and the reading, ``times`` times."""

        def __init__(self, act: Callable[[int], object], times: int) -> None:
            self.act, self.left, self.get_file_info = act, times, real.get_file_info

        def open_input_stream(self, path: str) -> object:
            stream = real.open_input_stream(path)
            if self.left:
                self.left -= 1
                self.act(self.left)
            return stream

    def put(left: int) -> None:
        s3.client.put_object(Bucket=bucket, Key=key, Body=b"after" + b"." * left)

    def copies(racing: Any) -> list[tuple[str, int]]:
        s3.client.put_object(Bucket=bucket, Key=key, Body=b"before, long" * 3)
        fetched = fetch(racing, address, listing(real, address), tmp_path)
        return [(item.name, item.size) for item in fetched]

    assert copies(Racing(put, 2)) == [("x.bin", 5)]
    assert content(tmp_path) == {"x.bin": b"after"}
    assert is_same(tmp_path / "x.bin", listing(real, address)[0])
    (tmp_path / "x.bin").unlink()
    assert copies(Racing(lambda _: s3.client.delete_object(Bucket=bucket, Key=key), 1)) == []
    assert copies(Racing(put, 99)) == [], "which changes all the time"
    assert content(tmp_path) == {}


def test_two_hosts_see_the_same_times_of_change(s3: Server, bucket: str, tmp_path: Path) -> None:
    s3.client.put_object(Bucket=bucket, Key="data/x.bin", Body=b"1")
    one = copied(f"s3://{bucket}/data", tmp_path / "one") / "x.bin"
    written = s3.client.head_object(Bucket=bucket, Key="data/x.bin")["LastModified"]
    time.sleep(0.01)
    other = copied(f"s3://{bucket}/data", tmp_path / "other") / "x.bin"
    assert one.stat().st_mtime_ns == other.stat().st_mtime_ns == int(written.timestamp()) * 10**9


COPY = (
    "import sys; from pathlib import Path; from raytune_planes.stores.address import parsed\n"
    "from raytune_planes.stores.staging import staged\n"
    "print(staged(parsed(sys.argv[1]), Path(sys.argv[2]), lambda text: print(text, flush=True), 2**30))\n"
)


def test_a_copy_that_was_killed_continues_with_what_is_missing(s3: Server, bucket: str, tmp_path: Path) -> None:
    names = [f"{n:03d}.bin" for n in range(120)]
    for name in names:
        s3.client.put_object(Bucket=bucket, Key=f"data/{name}", Body=name.encode() * 1000)
    folder = folder_of(parsed(f"s3://{bucket}/data"), tmp_path)
    process = subprocess.Popen([sys.executable, "-c", COPY, f"s3://{bucket}/data", str(tmp_path)], stdout=-3)
    until(lambda: len(content(folder)) >= 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = content(folder)
    assert 10 <= len(before) < len(names)
    assert before.items() <= {name: name.encode() * 1000 for name in names}.items(), "each is whole"
    s3.line.requests.clear()
    copied(f"s3://{bucket}/data", tmp_path)
    assert content(folder) == {name: name.encode() * 1000 for name in names}
    assert fetched_names(s3) == sorted(set(names) - before.keys())
    assert not folder.with_name(folder.name + PARTS).exists()


def test_processes_that_ask_at_once_copy_once(s3: Server, bucket: str, tmp_path: Path) -> None:
    for n in range(20):
        s3.client.put_object(Bucket=bucket, Key=f"data/{n:02d}.bin", Body=b"x")
    command = [sys.executable, "-c", COPY, f"s3://{bucket}/data", str(tmp_path)]
    both = [subprocess.Popen(command, stdout=-1, text=True) for _ in range(2)]
    said = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("Fetching 20 files" in text for text in said) == 1, said
    assert fetched_names(s3) == [f"{n:02d}.bin" for n in range(20)]


def test_a_store_that_is_away_is_named_and_the_next_call_continues(s3: Server, bucket: str, tmp_path: Path) -> None:
    s3.client.put_object(Bucket=bucket, Key="data/x.bin", Body=b"1")
    s3.line.cut()
    try:
        with pytest.raises(StoreUnavailable, match=f"s3://{bucket}/data does not answer: .*Check the network"):
            copied(f"s3://{bucket}/data", tmp_path)
    finally:
        s3.line.mend()
    assert content(copied(f"s3://{bucket}/data", tmp_path)) == {"x.bin": b"1"}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ([], "holds no files; correct the prefix"),
        (["data/a/../../x"], "'a/../../x' cannot be a file of a folder"),
        (["data/a//x"], "'a//x' cannot be a file of a folder"),
        (["data/a", "data/a/x"], "'a' is an object and a folder of others"),
    ],
)
def test_what_cannot_be_a_folder_is_refused(
    s3: Server, bucket: str, tmp_path: Path, keys: list[str], message: str
) -> None:
    for key in keys:
        s3.client.put_object(Bucket=bucket, Key=key, Body=b"")
    with pytest.raises(UserError, match=message):
        copied(f"s3://{bucket}/data", tmp_path)
    assert not list(tmp_path.rglob("x"))


def test_a_bucket_that_is_not_there_ends_with_status_2(
    s3: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for verb in (["data", "s3://absent-bucket/x"], ["train", "--data=s3://absent-bucket/x"]):
        assert main(verb) == 2
        assert "there is no bucket 'absent-bucket'; make it first" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_copies_that_are_unused_longest_make_room(
    s3: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("old", "older", "used", "new"):
        s3.client.put_object(Bucket=bucket, Key=f"{name}/x.bin", Body=b"x" * 1000)
    folders = {name: copied(f"s3://{bucket}/{name}", tmp_path) for name in ("old", "older", "used")}
    for name, age_s in (("old", SPARED_S + 10), ("older", SPARED_S + 20)):
        os.utime(folders[name], (time.time() - age_s,) * 2)
    new = staged(parsed(f"s3://{bucket}/new"), tmp_path, lambda _: None, 3000)
    assert [folders[name].exists() for name in ("old", "older", "used")] == [True, False, True]
    assert (new / "x.bin").is_file()
    monkeypatch.setattr(staging.shutil, "disk_usage", lambda _: type("", (), {"free": 10}))
    s3.client.put_object(Bucket=bucket, Key="big/x.bin", Body=b"x" * 1000)
    with pytest.raises(UserError, match="are to be fetched into .* free some space, or name another cache folder"):
        copied(f"s3://{bucket}/big", tmp_path)


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.005)
