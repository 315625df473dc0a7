"""The images that the clouds' files name fit the lock, and a host is told when its driver does not."""

from __future__ import annotations

import copy
import importlib.util
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "cluster"
SCRIPT = FOLDER / "host_needs.py"
LOCK = tomllib.loads((FOLDER.parent / "uv.lock").read_text())
GLIBC = {"18.04": (2, 27), "20.04": (2, 31), "22.04": (2, 35), "24.04": (2, 39)}
"""Of Ubuntu's releases, as their package libc6 says."""


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    return module


host_needs = load("host_needs")


def named(file: str) -> tuple[tuple[int, int], int]:
    """The glibc and the driver of the image that ``file`` names for all its hosts."""
    text = (FOLDER / file).read_text()
    if file == "aws.yaml":
        words = re.search(r"Ubuntu (\d\d\.\d\d) with NVIDIA driver (\d+) or later", text)
        parameter = re.search(
            r"/aws/service/deeplearning/ami/x86_64/base-oss-\S+-ubuntu-(\d\d\.\d\d)/latest/ami-id", text
        )
        assert words is not None
        assert parameter is not None
        assert words[1] == parameter[1]
        return GLIBC[words[1]], int(words[2])
    kinds = yaml.safe_load(text)["available_node_types"].values()
    (image,) = {kind["node_config"]["disks"][0]["initializeParams"]["sourceImage"] for kind in kinds}
    family = re.search(r"/images/family/common-cu\d+-ubuntu-(\d\d)(\d\d)-nvidia-(\d+)$", image)
    assert family is not None, image
    return GLIBC[f"{family[1]}.{family[2]}"], int(family[3])


def test_the_needs_are_read_from_the_wheels_of_the_lock() -> None:
    needs = host_needs.needs_of(LOCK)
    built_for = {match[1] for line in requires("torch") or () if (match := re.match(r"nvidia-cudnn-cu(\d+)", line))}
    assert built_for == {str(needs.cuda)}  # the torch that is installed here
    assert needs.driver == {12: 525, 13: 580}[needs.cuda]
    wheels = next(p["wheels"] for p in LOCK["package"] if p["name"] == "torch")
    floors = {re.search(r"manylinux_(\d+)_(\d+)_x86_64", w["url"]) for w in wheels}  # one of the files a wheel
    assert needs.glibc >= max((int(m[1]), int(m[2])) for m in floors if m)


def lock_of(*dependencies: str, wheels: tuple[str, ...] = ()) -> dict[str, Any]:
    torch = {"name": "torch", "version": "9.9", "dependencies": [{"name": name} for name in dependencies]}
    return {"package": [{**torch, "wheels": [{"url": f"https://x/{name}"} for name in wheels]}]}


def test_an_older_cuda_needs_an_older_driver_and_the_oldest_wheel_counts() -> None:
    wheels = ("torch-9.9-cp311-cp311-manylinux_2_28_x86_64.whl", "torch-9.9-cp311-cp311-manylinux_2_17_x86_64.whl")
    lock = lock_of("nvidia-cudnn-cu12", "filelock", wheels=wheels)
    assert host_needs.needs_of(lock) == host_needs.Needs((2, 17), 525, 12)


@pytest.mark.parametrize("names", [(), ("nvidia-cudnn-cu12", "nvidia-nccl-cu13"), ("nvidia-cudnn-cu14",)])
def test_a_cuda_whose_driver_is_not_known_is_an_error(names: tuple[str, ...]) -> None:
    lock = lock_of(*names, wheels=("torch-9.9-cp311-cp311-manylinux_2_28_x86_64.whl",))
    with pytest.raises(ValueError, match=r"torch 9\.9 needs CUDA \["):
        host_needs.needs_of(lock)


@pytest.mark.parametrize("file", ["aws.yaml", "gcp.yaml"])
def test_the_image_of_a_cloud_is_new_enough_for_the_lock(file: str) -> None:
    needs = host_needs.needs_of(LOCK)
    glibc, driver = named(file)
    assert glibc >= needs.glibc
    assert driver >= needs.driver


def test_every_page_and_file_tells_the_same_needs_as_the_lock() -> None:
    needs, told = host_needs.needs_of(LOCK), dict[str, int]()
    for path in (*FOLDER.glob("*.yaml"), FOLDER / "README.md"):
        text = " ".join(path.read_text().replace("\n#", " ").split())
        for driver in re.findall(r"NVIDIA driver (\d+) or later", text):
            assert int(driver) == needs.driver, path.name
            told[path.name] = needs.driver
        for glibc in re.findall(r"glibc (\d+)\.(\d+)", text):
            assert (int(glibc[0]), int(glibc[1])) == needs.glibc, path.name
    assert told.keys() == {"README.md", "aws.yaml", "kuberay-raycluster.yaml", "onprem.yaml"}


def test_all_hosts_of_aws_have_the_image_that_a_person_looks_up_for_the_region() -> None:
    file = yaml.safe_load((FOLDER / "aws.yaml").read_text())
    images = {kind["node_config"]["ImageId"] for kind in file["available_node_types"].values()}
    assert images == {"ami-CHANGE-ME"}
    assert f"get-parameter --region {file['provider']['region']} " in (FOLDER / "aws.yaml").read_text()


@pytest.mark.parametrize("file", ["aws.yaml", "gcp.yaml"])
def test_a_head_with_an_old_driver_ends_ray_up_and_a_worker_joins_all_the_same(file: str) -> None:
    document = yaml.safe_load((FOLDER / file).read_text())
    check = "~/raytune_planes/.venv/bin/python ~/raytune_planes/cluster/host_needs.py"
    assert check in document["head_setup_commands"]
    assert f"{check} || true" in document["worker_setup_commands"]


def machine(folder: Path, *, card: bool, driver: str = "", other: str = "0x8086") -> list[str]:
    """The command line that looks at a host like this one."""
    for number, (vendor, kind) in enumerate([(other, "0x030000"), *([("0x10de", "0x030200")] * card)]):
        device = folder / "devices" / f"0000:00:{number:02d}.0"
        device.mkdir(parents=True)
        (device / "vendor").write_text(f"{vendor}\n")
        (device / "class").write_text(f"{kind}\n")
    if driver:
        (folder / "version").write_text(f"{driver}\n")
    words = ["--devices", folder / "devices", "--loaded", folder / "version", "--wait", "0"]
    return [sys.executable, str(SCRIPT), *map(str, words)]


def told(command: list[str], path: Path) -> tuple[int, str]:
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": str(path)})
    return done.returncode, done.stdout + done.stderr


def test_a_host_with_a_driver_that_fits_says_which(tmp_path: Path) -> None:
    assert told(machine(tmp_path, card=True, driver="595.91.07"), tmp_path) == (0, "NVIDIA driver: 595.91.07\n")


def test_a_host_without_a_card_and_without_a_driver_is_no_mistake(tmp_path: Path) -> None:
    assert told(machine(tmp_path, card=False), tmp_path) == (0, "no NVIDIA card, no driver\n")


def test_an_old_driver_is_refused_with_what_is_needed(tmp_path: Path) -> None:
    status, words = told(machine(tmp_path, card=True, driver="570.86.15"), tmp_path)
    assert status == 1
    assert "has the NVIDIA driver 570.86.15; the locked torch is built for CUDA 13 and needs 580 or later" in words


def test_a_card_without_a_driver_is_refused(tmp_path: Path) -> None:
    status, words = told(machine(tmp_path, card=True), tmp_path)
    assert status == 1
    assert "this host has an NVIDIA card and no driver" in words


def test_a_head_without_a_card_is_judged_by_the_driver_of_its_image(tmp_path: Path) -> None:
    (tmp_path / "modinfo").write_text("#!/bin/sh\n[ \"$*\" = '-F version nvidia' ] && echo 570.86.15\n")
    (tmp_path / "modinfo").chmod(0o755)
    status, words = told(machine(tmp_path, card=False), tmp_path)
    assert status == 1
    assert "570.86.15" in words


def test_a_driver_that_is_installed_meanwhile_is_waited_for(tmp_path: Path) -> None:
    command = machine(tmp_path, card=True)
    command[-1] = "60"
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        (tmp_path / "written").write_text("580.126.09\n")
        (tmp_path / "written").rename(tmp_path / "version")
        assert process.communicate()[0] == "NVIDIA driver: 580.126.09\n"


def test_the_lock_without_its_cuda_is_not_taken_for_one_that_fits() -> None:
    lock = copy.deepcopy(LOCK)
    torch = next(p for p in lock["package"] if p["name"] == "torch")
    torch["dependencies"] = [d for d in torch["dependencies"] if not d["name"].endswith("-cu13")]
    with pytest.raises(ValueError, match="needs CUDA"):
        host_needs.needs_of(lock)
