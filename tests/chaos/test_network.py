"""While a study runs nobody can reach it from outside, and what it keeps holds no secret of who started it."""

from __future__ import annotations

import ipaddress
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from raytune_planes.datasets.synthetic import synthesise
from tests.chaos.attack import SPACE, Study
from tests.chaos.server import Server

SECRET = "hunter2-in-plain-sight"
PLANTED = ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "HF_TOKEN", "WANDB_API_KEY")
LIMIT_S = 400.0


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray keeps its logs; short, because its sockets lie there too."""
    folder = Path(tempfile.mkdtemp(prefix="r", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def listening(study: Study) -> set[str]:
    """Addresses at which the study's processes listen now."""
    assert study.driver is not None
    found = set()
    with suppress(psutil.NoSuchProcess):
        for process in (psutil.Process(study.driver.pid), *study.children()):
            with suppress(psutil.NoSuchProcess):
                found |= {c.laddr.ip for c in process.net_connections("inet") if c.status == psutil.CONN_LISTEN}
    return found


def holding(folder: Path, secret: str) -> list[str]:
    """Files below ``folder`` in which ``secret`` stands, and names that hold it."""
    found = []
    for path in folder.rglob("*"):
        if secret in path.name or (path.is_file() and secret.encode() in path.read_bytes()):
            found.append(str(path.relative_to(folder)))
    return found


@pytest.mark.slow
def test_a_study_listens_on_loopback_only_and_keeps_no_secret(
    tmp_path: Path, ray_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in PLANTED:
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "somebody")
    space, data = tmp_path / "chaos.yaml", tmp_path / "data"
    space.write_text(SPACE.format(epochs=2, steps=4))
    synthesise(data, planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    server = Server(tmp_path / "mlflow")
    server.start()
    uri = server.uri.replace("//", f"//somebody:{SECRET}@")
    words = (str(space), "--data", str(data), "--cache", str(tmp_path / "cache"), "--tracking-uri", uri)
    study = Study(tmp_path / "out", "quiet", (*words, "--concurrent", "1", "--trials", "2"))
    seen: set[str] = set()
    try:
        server.wait()
        study.start()
        deadline = time.monotonic() + LIMIT_S
        while study.ended() is None:
            assert time.monotonic() < deadline, study.said()
            seen |= listening(study)
            time.sleep(0.5)
        assert study.ended() == 0, study.said()
    finally:
        if study.ended() is None:
            study.kill()
        server.kill()
    assert seen, "Ray listens somewhere"
    assert [address for address in seen if not ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback] == []
    assert "quiet" in study.said()
    assert SECRET not in study.said()
    assert holding(study.out, SECRET) == []
    assert holding(server.folder, SECRET) == []
    assert holding(ray_folder, SECRET) == []
    assert list(ray_folder.rglob("_ray_pkg_*")) == [], "Ray packs no folder of the user's"
