"""The head that Ray left on this machine, if its note can be believed: whom a study joins gets the cluster's token."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

WILDCARDS = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Head:
    """What a note of Ray says."""

    address: str = ""
    """``host:port`` of a living head of this user on this machine; empty where there is none."""
    doubt: str = ""
    """Why a note that is there is not believed. A note of a head that has died is no reason for doubt."""


def note_of_head(environment: Mapping[str, str]) -> Path:
    """Where Ray writes the address of the head that was started last."""
    folder = environment.get("RAY_TMPDIR") or environment.get("TMPDIR") or "/tmp"
    return Path(folder) / "ray" / "ray_current_cluster"


def head_at(note: Path) -> Head:
    """The head that ``note`` names.

    Everybody may write to ``/tmp``, and Ray opens the folder that it makes there to all. So the note and its folder
    must belong to this user, the address must be one of this machine, and a process of this user must listen there.
    This sends nothing.
    """
    try:
        for path, is_kind in ((note.parent, stat.S_ISDIR), (note, stat.S_ISREG)):
            status = path.lstat()
            if status.st_uid != os.getuid():
                return Head(doubt=f"{path} belongs to another user")
            if not is_kind(status.st_mode):
                return Head(doubt=f"{path} is a link or another kind of file than Ray makes")
        if note.lstat().st_mode & 0o022:
            return Head(doubt=f"{note} can be written by other users")
        host, port = _parsed(note.read_text(encoding="ascii"))
    except (FileNotFoundError, NotADirectoryError):
        return Head()
    except (OSError, ValueError) as error:
        return Head(doubt=f"{note} holds no address of a Ray head ({error})")
    if host not in _addresses():
        return Head(doubt=f"{note} names {host}, which is no address of this machine")
    return Head(f"[{host}]:{port}" if host.version == 6 else f"{host}:{port}") if _listens(host, port) else Head()


def listens_at(address: str) -> bool:
    """Whether something listens at ``host:port``, perhaps written as ``ray://host:port``."""
    host, _, port = address.split("//")[-1].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=5):
            return True
    except (OSError, ValueError):
        return False


Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def _parsed(text: str) -> tuple[Address, int]:
    host, colon, port = text.strip().rpartition(":")
    if not colon or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(f"no host:port: {text.strip()[:60]!r}")
    return ipaddress.ip_address({"localhost": "127.0.0.1"}.get(host, host.strip("[]"))), int(port)


def _addresses() -> set[Address]:
    """Every address of this machine."""
    addresses: set[Address] = set()
    for of_one in psutil.net_if_addrs().values():
        for address in of_one:
            try:
                addresses.add(ipaddress.ip_address(address.address.split("%")[0]))
            except ValueError:  # a network card's own address
                continue
    return addresses


def _listens(host: Address, port: int) -> bool:
    """Whether a process of this user listens at ``host:port``.

    The port of a head that has died may be somebody else's by now.
    """
    reached_by = {str(host), f"::ffff:{host}", *WILDCARDS}
    for process in psutil.process_iter():
        try:
            if process.uids().real != os.getuid():
                continue
            for connection in process.net_connections("tcp"):
                at = connection.laddr
                if connection.status == psutil.CONN_LISTEN and at.port == port and at.ip in reached_by:
                    return True
        except psutil.Error:  # it has ended, or is none of ours
            continue
    return False
