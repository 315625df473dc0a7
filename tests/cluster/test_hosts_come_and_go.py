"""A study on hosts that are apart: one is drained, one joins late, one loses its power, the head is started anew."""

from __future__ import annotations

import secrets
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil
import pytest

from tests.chaos.attack import Study
from tests.chaos.hosts import disagreements_after, play, prepared
from tests.cluster.hosts import ADDRESSES, Hosts, hosts, why_not
from tests.tuning.hosts import NOTICE_S, SIZE

SERVERS = ("head", "w1", "w2", "w3")
HEAD = f"{ADDRESSES['head']}:6379"
PYTHON = Path(sys.executable)
START = (
    f"ulimit -n 65536; {PYTHON.parent}/ray start --disable-usage-stats "
    f"--object-store-memory={SIZE['object_store_memory']}"
)
NODE = """
import sys, ray
ray.init(sys.argv[1], log_to_driver=False)
print("node", next(n["NodeID"] for n in ray.nodes() if n["Alive"] and n["NodeManagerAddress"] == sys.argv[2]))
"""


@dataclass
class Apart:
    """The stage: each host with processes, files and a network of its own."""

    made: Hosts
    unused: list[str] = field(default_factory=lambda: ["w1", "w2", "w3"])

    def __post_init__(self) -> None:
        token = secrets.token_hex(32)
        for host in SERVERS:
            lines = f"umask 077; mkdir -p ~/.ray; printf {token} > ~/.ray/auth_token"
            self.made.run(host, f"{lines}; echo export RAY_AUTH_MODE=token >> ~/.bashrc")
        self._head()

    def join(self, cpus: int) -> str:
        """The last host joins the new head as it joined the old, while its processes of then still run."""
        host = self.unused.pop(0) if self.unused else SERVERS[-1]
        self.made.run(host, f"{START} --num-cpus={cpus} --address={HEAD}")
        return host

    def drain(self, host: str) -> None:
        (self.made.shared / "node.py").write_text(NODE)
        said = self.made.run("head", f"{PYTHON} /srv/raytune/node.py {HEAD} {ADDRESSES[host]}")
        options = (
            f"--address {HEAD} --node-id {said.partition('node ')[2].strip()} --reason DRAIN_NODE_REASON_PREEMPTION "
            f"--reason-message spot --deadline-remaining-seconds {NOTICE_S}"
        )
        self.made.run("head", f"{PYTHON.parent}/ray drain-node {options}")

    def kill(self, host: str) -> None:
        self.made.lose(host)

    def new_head(self) -> None:
        self.made.end_all("head")
        self._head()

    def _head(self) -> None:
        self.made.run("head", f"{START} --head --num-cpus=0 --port=6379 --include-dashboard=false")


@dataclass
class StudyThere(Study):
    """A study whose driver runs on the head."""

    made: Hosts | None = None

    def launch(self, command: Sequence[str], log: IO[bytes]) -> subprocess.Popen[Any]:
        assert self.made is not None
        there = f"RAY_ADDRESS={HEAD} OMP_NUM_THREADS=1 exec {shlex.join(command)}"
        return self.made.start("head", f"{there} >> {shlex.quote(log.name)} 2>&1")

    def kill(self) -> None:
        super().kill()
        for process in self.dead:  # what was killed only led into the head
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Hosts]:
    (tmp_path / "tried").mkdir()
    if reason := why_not(tmp_path / "tried"):
        pytest.skip(reason)
    with hosts(tmp_path, SERVERS) as found:
        yield found


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.filterwarnings("ignore")
def test_every_trial_exists_once_after_hosts_apart_came_and_went_and_the_head_was_restarted(made: Hosts) -> None:
    plain = prepared(made.shared, steps=80)  # trials still run when Ray finds that a host has been silent for long
    study = StudyThere(plain.out, plain.name, plain.words, made=made)
    assert play(study, Apart(made), limit_s=900) == [], study.said()
    assert disagreements_after(study) == []
