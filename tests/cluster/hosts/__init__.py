"""Several hosts on one machine: each has its own processes, files, home and network, and they reach each other by ssh.

Linux namespaces and an overlay over this machine's files; needs root. Everything vanishes with a host's first process.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

INIT = Path(__file__).with_name("init.sh")
PROJECT = Path(__file__).resolve().parents[3]
TOOLS = {
    "ip": "iproute2", "unshare": "util-linux", "nsenter": "util-linux", "ssh": "openssh-client",
    "ssh-keygen": "openssh-client", "sshd": "openssh-server", "rsync": "rsync",
}  # fmt: skip
"""Programs that hosts need, and the Debian package of each."""

ADDRESSES: Mapping[str, str] = {
    "laptop": "10.77.0.1",
    "head": "10.77.0.10",
    "w1": "10.77.0.11",
    "w2": "10.77.0.12",
    "w3": "10.77.0.13",
}
SERVERS = ("head", "w1", "w2")
"""Beside the laptop, unless others are asked for."""
HOME = "/root"


def why_not(folder: Path) -> str:
    """Why this machine cannot make hosts, or an empty text. Tries it in ``folder``."""
    if not sys.platform.startswith("linux"):
        return "hosts are made of Linux namespaces"
    if os.getuid() != 0:
        return "making hosts needs root"
    missing = {package for tool, package in TOOLS.items() if not shutil.which(tool, path=_path())}
    if missing:
        return f"apt-get install {' '.join(sorted(missing))}"
    if not (uv := _uv()):
        return "hosts install the project with uv, which is not in PATH"
    sync = [uv, "sync", "--offline", "--frozen", "--no-dev", "--dry-run", "--project", str(PROJECT)]
    if subprocess.run(sync, capture_output=True).returncode:
        return "hosts have no network, and uv's cache does not hold every package of uv.lock"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--fork", "bash", "-c",
         f"mount -t tmpfs t {folder} && mkdir {folder}/u {folder}/w {folder}/r && "
         f"mount -t overlay o -o lowerdir=/,upperdir={folder}/u,workdir={folder}/w {folder}/r && "
         "ip link add v0 type veth peer name v1 && ip link add b0 type bridge"],
        capture_output=True, text=True,
    )  # fmt: skip
    return f"this machine allows no namespaces: {tried.stderr.strip()}" if tried.returncode else ""


@dataclass(frozen=True)
class Hosts:
    """The first process of each host, by name."""

    processes: Mapping[str, int]
    shared: Path
    """Stands for a file server: every host has it at /srv/raytune, and where it lies here."""
    networks: Mapping[str, str]
    """The network namespace of each host."""

    def start(self, host: str, command: str) -> subprocess.Popen[str]:
        """Start ``command`` in a login shell of ``host``, in the folder ``cluster/`` of the project."""
        enter = ["nsenter", "-t", str(self.processes[host]), "--mount", "--pid", "--net", "--uts", "--ipc"]
        environment = {"HOME": HOME, "USER": "root", "SHELL": "/bin/bash", "LANG": "C.UTF-8", "PATH": _path()}
        wrapped = f"source ~/.bashrc; cd {shlex.quote(str(PROJECT / 'cluster'))}; {command}"
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*enter, "bash", "--login", "-c", wrapped], env=environment, stdin=subprocess.DEVNULL, stdout=pipe,
            stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, host: str, command: str, status: int = 0, timeout_s: float = 600) -> str:
        """The output of ``command`` on ``host``; it must end with ``status``."""
        process = self.start(host, command)
        try:
            output, _ = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(f"{command} on {host} took too long:\n{process.communicate()[0]}") from None
        assert process.returncode == status, f"{command} on {host} ended with {process.returncode}:\n{output}"
        return output

    def lose(self, host: str) -> None:
        """A host loses its power: it is silent from now on, and nobody is told."""
        _ip(self.networks[host], "link set eth0 down")
        os.kill(self.processes[host], signal.SIGKILL)  # takes all others of its process namespace along

    def end_all(self, host: str) -> None:
        """Kill what runs on a host beside its first process and the commands of ``start``; it stays usable."""
        for process in psutil.Process(self.processes[host]).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if process.name() != "sleep":  # what its first process waits for
                    process.kill()


@contextmanager
def hosts(folder: Path, servers: Sequence[str] = SERVERS) -> Iterator[Hosts]:
    """A laptop and ``servers`` that know one key; all gone afterwards. Raises where :func:`why_not` speaks."""
    with ExitStack() as stack:
        switch = f"rt{os.getpid()}"
        _netns(stack, switch)
        _ip(switch, "link add bridge type bridge")
        _ip(switch, "link set bridge up")
        (shared := folder / "shared").mkdir()
        key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        networks = {name: f"{switch}-{name}" for name in ("laptop", *servers)}
        processes = {}
        for name, network in networks.items():
            _connect(stack, network, ADDRESSES[name], switch, name)
            processes[name] = _boot(stack, name, network, folder / name, shared)
        made = Hosts(processes, shared, networks)
        for name in networks:
            _furnish(made, name, key)
        yield made


def _boot(stack: ExitStack, name: str, network: str, folder: Path, shared: Path) -> int:
    """Start a host's first process and return its id here."""
    folder.mkdir()
    paths = [str(path) for path in (*_outside_paths(), shared)]
    own = ["--mount", "--propagation", "private", "--pid", "--uts", "--ipc", "--fork", "--kill-child"]
    host = ["bash", str(INIT), name, str(folder), str(shared), *paths]
    command = ["ip", "netns", "exec", network, "unshare", *own, *host]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
        env={"PATH": _path(), "HOME": HOME}, start_new_session=True,
    )  # fmt: skip
    stack.callback(process.wait)
    stack.callback(process.kill)  # unshare; --kill-child takes the host's first process, and that takes all others
    assert process.stdout is not None
    said = process.stdout.readline()
    if said != "ready\n":
        raise RuntimeError(f"host {name} did not start: {said}{process.stdout.read()}")
    process.stdout.close()
    inner = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return int(inner[0])


def _furnish(made: Hosts, name: str, key: Path) -> None:
    """Keys, names, and what an administrator sets: where Python and uv are, and that there is no network."""
    names = "\n".join(f"{address} {host}" for host, address in ADDRESSES.items())
    uv = _uv()
    lines = [
        "umask 077",
        f"mkdir -p ~/.ssh; printf '%s' {shlex.quote(key.read_text())} > ~/.ssh/id_ed25519",
        f"echo {shlex.quote(key.with_suffix('.pub').read_text())} > ~/.ssh/authorized_keys",
        f"printf '127.0.0.1 localhost\n%s\n' {shlex.quote(names)} > /etc/hosts",
        f"echo 'export PATH={Path(uv).parent}:{sys.base_prefix}/bin:$PATH' >> ~/.bashrc",
        f"echo 'export UV_OFFLINE=1 UV_LINK_MODE=symlink UV_CACHE_DIR={_uv_cache()}' >> ~/.bashrc",
    ]
    if name != "laptop":
        lines.append("ssh-keygen -A >/dev/null; /usr/sbin/sshd -o PasswordAuthentication=no")
    else:
        lines.append(f"echo 'export PATH={Path(sys.executable).parent}:$PATH' >> ~/.bashrc")
    made.run(name, f"touch ~/.bashrc; {'; '.join(lines)}")


def _outside_paths() -> Sequence[Path]:
    """What hosts need of this machine that the overlay lacks: it lies in a home, in /tmp or on another disk."""
    wanted = {Path(sys.base_prefix), Path(sys.prefix), PROJECT, _uv_cache(), Path(_uv()).parent}
    hidden = [Path(HOME), Path("/tmp"), Path("/run")]
    root = Path("/").stat().st_dev
    found = {p for p in wanted if p.stat().st_dev != root or any(p.is_relative_to(h) for h in hidden)}
    return sorted(p for p in found if not any(p != other and p.is_relative_to(other) for other in found))


def _uv() -> str:
    beside = Path(sys.base_prefix) / "bin" / "uv"  # where a version manager's shim in PATH leads
    return str(beside) if beside.exists() else shutil.which("uv") or ""


def _uv_cache() -> Path:
    found = subprocess.run([_uv(), "cache", "dir"], capture_output=True, text=True, check=True)
    return Path(found.stdout.strip())


def _path() -> str:
    return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _netns(stack: ExitStack, name: str) -> None:
    subprocess.run(["ip", "netns", "add", name], check=True)
    stack.callback(subprocess.run, ["ip", "netns", "delete", name], check=False)


def _connect(stack: ExitStack, network: str, address: str, switch: str, name: str) -> None:
    """A network for one host, with a cable to the switch. A default route, by which Ray finds the host's address."""
    _netns(stack, network)
    _ip(switch, f"link add to-{name} type veth peer name eth0 netns {network}")
    _ip(switch, f"link set to-{name} master bridge up")
    for command in (f"addr add {address}/24 dev eth0", "link set eth0 up", "link set lo up"):
        _ip(network, command)
    _ip(network, "route add default dev eth0")


def _ip(network: str, command: str) -> None:
    subprocess.run(["ip", "-netns", network, *command.split()], check=True)
