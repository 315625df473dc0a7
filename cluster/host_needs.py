"""What the locked torch needs of a host, read from ``uv.lock``; as a script, it checks this host's NVIDIA driver."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LOCK = Path(__file__).resolve().parents[1] / "uv.lock"
DRIVER_OF_CUDA = {11: 450, 12: 525, 13: 580}
"""Oldest branch of the Linux driver on which programs of a CUDA major version run ("minor version compatibility" in the
CUDA toolkit's release notes)."""
NVIDIA, DISPLAY = "0x10de", "0x03"
"""PCI vendor, and the first digits of the class of a graphics card or a 3D controller."""
WAIT_S = 600.0
"""Google's images install the driver while they start for the first time."""


@dataclass(frozen=True)
class Needs:
    """What a host must have at least."""

    glibc: tuple[int, int]
    driver: int
    cuda: int
    """Major version of the CUDA that torch is built for."""


def needs_of(lock: dict[str, Any]) -> Needs:
    """The needs of the wheels in ``lock``, the content of ``uv.lock``, on Linux with x86_64.

    Raises:
        ValueError: torch depends on no or on several versions of CUDA, or on one whose driver is not known here.
    """
    packages = lock["package"]
    floors = [floor for package in packages if (floor := _glibc_of(package))]
    torch = next(p for p in packages if p["name"] == "torch")
    cuda = {int(match[1]) for d in torch["dependencies"] if (match := re.fullmatch(r"nvidia-.*-cu(\d+)", d["name"]))}
    if len(cuda) != 1 or not cuda <= DRIVER_OF_CUDA.keys():
        raise ValueError(f"torch {torch['version']} needs CUDA {sorted(cuda)}; known drivers: {DRIVER_OF_CUDA}")
    (major,) = cuda
    return Needs(max(floors), DRIVER_OF_CUDA[major], major)


def _glibc_of(package: dict[str, Any]) -> tuple[int, int] | None:
    """The oldest glibc that one of the wheels for x86_64 accepts; None where there is no such wheel."""
    names = " ".join(wheel["url"].rsplit("/", 1)[1] for wheel in package.get("wheels", ()))
    found = re.findall(r"manylinux_(\d+)_(\d+)_x86_64", names)
    return min(((int(major), int(minor)) for major, minor in found), default=None)


def has_card(devices: Path) -> bool:
    """Whether a graphics card of NVIDIA is among the PCI ``devices`` of this host."""
    return any(
        (device / "vendor").read_text().strip() == NVIDIA and (device / "class").read_text().startswith(DISPLAY)
        for device in devices.iterdir()
    )


def driver(loaded: Path) -> str:
    """The version of the driver that is loaded, or else of the one that this host's image has; empty without any."""
    if loaded.is_file():
        return loaded.read_text().strip()
    try:
        asked = subprocess.run(["modinfo", "-F", "version", "nvidia"], capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return asked.stdout.strip()


def problem(found: str, card: bool, needs: Needs) -> str:
    """Why torch cannot use this host's card, or could not use one with this image; empty where it can."""
    asked = f"the locked torch is built for CUDA {needs.cuda} and needs {needs.driver} or later"
    if not found:
        return f"this host has an NVIDIA card and no driver; {asked}" if card else ""
    if int(found.split(".")[0]) >= needs.driver:
        return ""
    return f"this host's image has the NVIDIA driver {found}; {asked}. Name another image in the cluster's YAML file"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=Path, default="/sys/bus/pci/devices")
    parser.add_argument("--loaded", type=Path, default="/sys/module/nvidia/version")
    parser.add_argument("--wait", type=float, default=WAIT_S, help="seconds until a host with a card has a driver")
    given = parser.parse_args()
    needs = needs_of(tomllib.loads(LOCK.read_text(encoding="utf-8")))
    card, deadline = has_card(given.devices), time.monotonic() + given.wait
    while card and not given.loaded.is_file() and time.monotonic() < deadline:
        time.sleep(min(5.0, given.wait))
    found = driver(given.loaded)
    if trouble := problem(found, card, needs):
        print(trouble, file=sys.stderr)
        return 1
    print(f"NVIDIA driver: {found}" if found else "no NVIDIA card, no driver")
    return 0


if __name__ == "__main__":
    sys.exit(main())
