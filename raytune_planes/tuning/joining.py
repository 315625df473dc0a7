"""Which Ray a study joins, if any: the one that is named or noted, where a Ray answers there within seconds."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc

from raytune_planes.errors import UserError
from raytune_planes.launch.head import Head, head_at, listens_at, note_of_head

PATIENCE_S = 20.0
"""How long a Ray has to answer: Ray's own client waits for minutes, with raw lines, before it ends the process."""
ALIVE = "/ray.rpc.NodeInfoGcsService/CheckAlive"
"""What every Ray head answers, of its protocol; it says nothing that is kept."""
SOCKET = "session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
"""Longest path of a socket that Ray makes in its temporary folder, with a process id of seven digits."""
LONGEST = 103 if sys.platform == "darwin" else 107
"""Bytes of the path of a unix socket."""


@dataclass(frozen=True)
class Choice:
    """What ``choose`` found."""

    address: str = ""
    """Of the Ray to join; empty where one is started on this machine."""
    with_token: bool = False
    """Whether it is the user's own head, which the user's token opens."""
    note: str = ""
    """Why another Ray that seems to be there is not joined."""


def choose(environment: Mapping[str, str]) -> Choice:
    """The Ray that ``RAY_ADDRESS`` names, else the one that ``ray start`` or ``ray up`` of this user left here.

    Where another program answers in its place, or a Ray that hangs, a study gets a Ray of its own and says so.

    Raises:
        UserError: ``RAY_ADDRESS`` names a place where nothing listens.
    """
    named = environment.get("RAY_ADDRESS", "")
    head = head_at(note_of_head(environment)) if named in ("", "auto") else Head()
    address = head.address if named in ("", "auto", "local") else named
    if named == address != "" and not listens_at(named):
        raise no_answer(named, "nothing listens there")
    if address and not is_reachable(address, environment):
        source = "RAY_ADDRESS" if named == address else str(note_of_head(environment))
        return Choice(
            note=f"at {address} (from {source}) no Ray answered within {PATIENCE_S:g} s: another program has its port, "
            "or it hangs. This study runs on a Ray of its own on this machine"
        )
    doubt = f"{head.doubt}: no Ray is joined by it; RAY_ADDRESS names one to join" if head.doubt else ""
    return Choice(address, bool(head.address), doubt)


def no_answer(address: str, why: str) -> UserError:
    return UserError(
        f"the Ray cluster at {address} does not answer ({why}); start it, or unset RAY_ADDRESS to run on this machine"
    )


def is_reachable(address: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a Ray is at ``address`` (``host:port`` or ``ray://host:port``), told within ``PATIENCE_S``.

    A Ray that asks for a token, and one behind TLS, count as such: Ray's own client has the keys.
    """
    if environment.get("RAY_USE_TLS", "0") not in ("", "0"):
        return True
    is_client = address.startswith("ray://")
    with grpc.insecure_channel(address.removeprefix("ray://"), (("grpc.enable_http_proxy", 0),)) as channel:
        try:
            channel.unary_unary(ALIVE)(b"", timeout=PATIENCE_S, wait_for_ready=True)
        except grpc.RpcError as error:
            other = grpc.StatusCode.UNIMPLEMENTED  # the door of Ray's client knows other questions
            refused = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
            return error.code() in refused or (is_client and error.code() == other)
    return True


def temporary_folder(environment: Mapping[str, str]) -> tuple[str | None, str]:
    """Where a Ray that is started keeps its files, None for its own choice; and why it is another place.

    Its sockets lie there, and a path of one that is longer than ``LONGEST`` bytes cannot be opened.
    """
    chosen = note_of_head(environment).parent
    length = len(os.fsencode(chosen)) + 1 + len(SOCKET)
    if length <= LONGEST:
        return None, ""
    variable = "RAY_TMPDIR" if environment.get("RAY_TMPDIR") else "TMPDIR"
    instead = Path("/tmp/ray")
    return str(instead), (
        f"{variable} is {length - LONGEST} bytes too long for the sockets of Ray ({LONGEST} bytes with their names); "
        f"Ray's files of this study are in {instead}"
    )
