"""A study joins the Ray that is named or noted where one answers, and otherwise has its own, with a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import grpc
import pytest

from raytune_planes.tuning import joining
from raytune_planes.tuning.joining import LONGEST, SOCKET, Choice, choose, is_reachable, temporary_folder
from tests.tuning.heads import ray_head


@pytest.fixture
def website() -> Iterator[str]:
    """The address of a program that is no Ray."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a program that takes every call and never answers, as one that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "PATIENCE_S", 1.0)


@pytest.mark.parametrize("status", [None, grpc.StatusCode.UNAUTHENTICATED])
def test_a_head_is_known_by_its_answer_also_where_it_asks_for_a_token(status: grpc.StatusCode | None) -> None:
    with ray_head(lambda: status) as address:
        assert is_reachable(address)
        assert choose({"RAY_ADDRESS": address}) == Choice(address)


def test_a_program_of_the_same_protocol_is_a_ray_only_where_its_client_is_asked_for() -> None:
    with ray_head(lambda: None, "/other.Service/Question") as address:
        assert not is_reachable(address)
        assert is_reachable(f"ray://{address}")


@pytest.mark.usefixtures("impatient")
def test_a_program_that_is_no_ray_or_hangs_is_told_and_not_joined(website: str, silent: str) -> None:
    for address in (website, silent):
        assert choose({"RAY_ADDRESS": address}) == Choice(
            note=f"at {address} (from RAY_ADDRESS) no Ray answered within 1 s: another program has its port, or it "
            "hangs. This study runs on a Ray of its own on this machine"
        )


@pytest.mark.usefixtures("impatient")
def test_a_note_whose_port_another_program_has_is_told_and_not_followed(website: str, tmp_path: Path) -> None:
    (tmp_path / "ray").mkdir()
    note = tmp_path / "ray" / "ray_current_cluster"
    note.write_text(website)
    found = choose({"RAY_TMPDIR": str(tmp_path)})
    assert (found.address, found.with_token) == ("", False)
    assert found.note.startswith(f"at {website} (from {note}) no Ray answered within 1 s: another program has its port")


def test_a_cluster_behind_tls_is_left_to_rays_own_client(silent: str) -> None:
    assert is_reachable(silent, {"RAY_USE_TLS": "1"})


def test_a_folder_in_which_rays_sockets_have_room_is_rays_own_choice(tmp_path: Path) -> None:
    assert temporary_folder({}) == (None, "")
    room = LONGEST - len("/ray/") - len(SOCKET)
    assert temporary_folder({"RAY_TMPDIR": "/" + "x" * (room - 1)}) == (None, "")


@pytest.mark.parametrize("variable", ["RAY_TMPDIR", "TMPDIR"])
def test_a_folder_too_long_for_rays_sockets_is_told_and_replaced(variable: str) -> None:
    room = LONGEST - len("/ray/") - len(SOCKET)
    assert temporary_folder({variable: "/" + "ä" * (room // 2 + 1)}) == (
        "/tmp/ray",
        f"{variable} is {1 + 2 * (room // 2 + 1) - room} bytes too long for the sockets of Ray ({LONGEST} bytes with "
        "their names); Ray's files of this study are in /tmp/ray",
    )


@pytest.mark.slow
def test_a_study_starts_a_ray_of_its_own_whatever_the_environment_says(silent: str) -> None:
    code = (
        "import os, ray\nfrom raytune_planes.tuning import joining\njoining.PATIENCE_S = 1.0\n"
        "from raytune_planes.tuning import cluster as starting\n"
        "starting.is_limited, starting.granted = lambda: True, lambda: 3 * 2**30\n"
        "with starting.connected() as cluster:\n"
        "    joining.PATIENCE_S = 60.0\n"
        "    here = joining.is_reachable(ray.get_runtime_context().gcs_address)\n"
        "    print(here, not cluster.joined, len(cluster.notes))\n"
        "    print(ray.get(ray.remote(lambda: os.environ.get('RAY_ADDRESS')).remote()))\n"
        "    offered = ray.cluster_resources()\n"
        "    print(round(offered['memory'] / 2**30, 2), round(offered['object_store_memory'] / 2**30, 2))\n"
        "print(os.environ['RAY_ADDRESS'])\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / ("x" * 100)
        long.mkdir()
        environment = {**os.environ, "RAY_ADDRESS": silent, "RAY_TMPDIR": str(long)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
        )
    assert done.stdout.splitlines()[0] == "True True 2", done.stderr
    assert silent not in done.stdout.splitlines()[1]
    assert done.stdout.splitlines()[2] == "2.1 0.9"  # of the three GiB that are granted, a third for shared objects
    assert done.stdout.splitlines()[3] == silent
