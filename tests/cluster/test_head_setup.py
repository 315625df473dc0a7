"""What a head in the clouds does before its Ray starts: packages in spite of apt's locks, and results over NFS."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from tests.cluster.test_host_needs import FOLDER, load

nfs_exports = load("nfs_exports")
CLOUDS = ("aws.yaml", "gcp.yaml")


ANSWERS = {"ip": "10.138.0.5", "subnetmask": "255.255.240.0"}


class MetadataServer(BaseHTTPRequestHandler):
    """Answers as Google's does for a host of the default subnet of us-west1."""

    def do_GET(self) -> None:
        *folder, what = self.path.split("/")
        known = "/".join(folder) == "/computeMetadata/v1/instance/network-interfaces/0" and what in ANSWERS
        right = known and self.headers["Metadata-Flavor"] == "Google"  # without it Google answers 403
        self.send_response(200 if right else 403)
        self.end_headers()
        if right:
            self.wfile.write(ANSWERS[what].encode())

    def log_message(self, format: str, *words: object) -> None:
        pass


@pytest.fixture
def metadata(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with HTTPServer(("127.0.0.1", 0), MetadataServer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("GCE_METADATA_HOST", f"127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def test_on_google_the_results_are_exported_to_the_heads_own_subnet(
    metadata: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"provider": {"type": "gcp"}}))
    nfs_exports.main("/srv/raytune", str(config))
    assert capsys.readouterr().out == "/srv/raytune 10.138.0.0/20(rw,no_subtree_check)\n"


def test_a_provider_whose_subnets_are_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="no subnets are known of provider type local"):
        nfs_exports.subnets({"provider": {"type": "local"}})


@pytest.mark.parametrize("name", CLOUDS)
def test_no_file_exports_the_results_to_addresses_of_its_own(name: str) -> None:
    document = yaml.safe_load((FOLDER / name).read_text())
    commands = " ".join(document["head_setup_commands"])
    assert "cluster/nfs_exports.py /srv/raytune | sudo tee /etc/exports.d/raytune.exports" in commands
    for word in commands.replace("(", " ").split():
        with pytest.raises(ValueError, match="does not appear to be"):
            ipaddress.ip_network(word, strict=False)


@pytest.mark.parametrize("name", CLOUDS)
def test_packages_are_installed_by_the_script_that_waits(name: str) -> None:
    document = yaml.safe_load((FOLDER / name).read_text())
    commands = [c for key, value in document.items() if key.endswith("_commands") for c in value]
    assert not [c for c in commands if "apt-get" in c]
    assert sum("bash ~/raytune_planes/cluster/apt_get.sh nfs-" in c for c in commands) == 2


def install(folder: Path, *, held: int) -> tuple[int, list[str]]:
    """Status and calls of ``apt_get.sh nfs-common`` where the lock of package lists is free at last after ``held``."""
    calls = folder / "calls"
    refuses = f"""case "$*" in *update*) [ "$(grep -c update {calls})" -gt {held} ] || exit 100;; esac"""
    (folder / "sudo").write_text(f'#!/bin/bash\necho "$*" >>{calls}\n{refuses}\n')
    (folder / "sudo").chmod(0o755)
    environment = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "APT_PAUSE_S": "0"}
    done = subprocess.run(["bash", str(FOLDER / "apt_get.sh"), "nfs-common"], env=environment, capture_output=True)
    return done.returncode, calls.read_text().splitlines()


def test_packages_are_installed_once_apts_locks_are_free(tmp_path: Path) -> None:
    status, calls = install(tmp_path, held=3)
    assert status == 0
    assert calls[:-1] == ["apt-get -qq update"] * 4
    asked = "DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 install -y nfs-common"
    assert calls[-1] == asked


def test_apts_locks_are_not_waited_for_without_end(tmp_path: Path) -> None:
    status, calls = install(tmp_path, held=1000)
    assert status == 1
    assert calls == ["apt-get -qq update"] * 60
