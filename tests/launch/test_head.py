"""Which note of a head is believed: whom a study joins gets the cluster's token."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from raytune_planes.launch.head import Head, head_at, note_of_head


@pytest.fixture
def note(tmp_path: Path) -> Path:
    (tmp_path / "ray").mkdir()
    return note_of_head({"RAY_TMPDIR": str(tmp_path)})


@pytest.fixture
def address() -> Iterator[str]:
    """Where this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_note_of_this_user_is_believed(note: Path, address: str) -> None:
    assert head_at(note) == Head()
    assert head_at(note.parent / "nowhere" / "note") == Head()
    note.write_text(f"{address}\n")
    assert head_at(note) == Head(address)
    note.write_text(address.replace("127.0.0.1", "localhost"))
    assert head_at(note) == Head(address)


def test_a_head_that_listens_everywhere_is_found_at_each_address(note: Path) -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server:
        port = server.getsockname()[1]
        for address in (f"127.0.0.1:{port}", f"[::1]:{port}"):
            note.write_text(address)
            assert head_at(note) == Head(address)


def test_the_note_of_a_dead_head_is_no_reason_for_doubt(note: Path) -> None:
    note.write_text("127.0.0.1:1")
    assert head_at(note) == Head()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's file")
@pytest.mark.parametrize("which", ["file", "folder"])
def test_another_users_note_or_folder_is_not_believed(note: Path, address: str, which: str) -> None:
    note.write_text(address)
    theirs = note if which == "file" else note.parent
    os.chown(theirs, 65534, 65534)
    assert head_at(note) == Head(doubt=f"{theirs} belongs to another user")


def test_a_note_that_others_can_write_is_not_believed(note: Path, address: str) -> None:
    note.write_text(address)
    note.chmod(0o646)
    assert head_at(note) == Head(doubt=f"{note} can be written by other users")


def test_a_link_is_not_followed(note: Path, address: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text(address)
    note.symlink_to(tmp_path / "elsewhere")
    assert head_at(note).doubt == f"{note} is a link or another kind of file than Ray makes"
    note.unlink()
    note.write_text(address)
    (tmp_path / "link").symlink_to(note.parent)
    assert head_at(tmp_path / "link" / note.name).doubt.startswith(f"{tmp_path / 'link'} is a link")


def test_a_note_must_name_this_machine(note: Path) -> None:
    note.write_text("192.0.2.1:6379")
    assert head_at(note) == Head(doubt=f"{note} names 192.0.2.1, which is no address of this machine")


@pytest.mark.parametrize(
    "content",
    [b"", b"garbage", b"127.0.0.1", b"127.0.0.1:", b"127.0.0.1:port", b":6379", b"a.b:99999", b"\xff\xfe\x00"],
)
def test_a_damaged_note_is_told(note: Path, content: bytes) -> None:
    note.write_bytes(content)
    assert head_at(note).address == ""
    assert head_at(note).doubt.startswith(f"{note} holds no address of a Ray head (")


LISTEN = """
import os, socket, sys
os.setuid(65534)
with socket.create_server(("127.0.0.1", 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start somebody else's process")
def test_the_port_of_a_dead_head_may_be_another_users_by_now(note: Path) -> None:
    command = [sys.executable, "-c", LISTEN]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        note.write_text(f"127.0.0.1:{int(other.stdout.readline())}")
        assert head_at(note) == Head()


def test_the_note_lies_where_ray_writes_it() -> None:
    assert note_of_head({}) == Path("/tmp/ray/ray_current_cluster")
    assert note_of_head({"TMPDIR": "/a"}) == Path("/a/ray/ray_current_cluster")
    assert note_of_head({"TMPDIR": "/a", "RAY_TMPDIR": "/b"}) == Path("/b/ray/ray_current_cluster")
