"""Runs what Ray's launcher would run on a node over ssh as child processes of the ``ray`` command itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import click
from ray.autoscaler.command_runner import CommandRunnerInterface

from raytune_planes.launch import processes
from raytune_planes.launch.head import head_at, note_of_head
from raytune_planes.launch.place import LaunchError, Place, ensure_token, private_folder
from raytune_planes.printing import counted
from raytune_planes.processors import allowed

SHUTDOWN = re.compile(r"; ray stop; ray teardown \S+ --yes --workers-only; sudo shutdown -h now")
"""What Ray appends for ``--stop``. Here the node is the user's own machine."""

DASHBOARD_PORTS = range(8265, 8365)
SCRIPT_PATIENCE_S = 30.0
RAY_PATIENCE_S = 5.0


class Invocation(NamedTuple):
    """The ``ray`` subcommand that this process is, and its options."""

    verb: str
    options: dict[str, Any]


def invocation() -> Invocation:
    """Read from click, because Ray joins a script's arguments with blanks before it hands them on."""
    context = click.get_current_context(silent=True)
    return Invocation(context.info_name or "", context.params) if context else Invocation("", {})


class ThisMachineRunner(CommandRunnerInterface):
    """One cluster's command runner on this machine."""

    def __init__(self, place: Place) -> None:
        self.place = place

    def run(
        self,
        cmd: str | None = None,
        timeout: int = 120,
        exit_on_fail: bool = False,
        port_forward: list[tuple[int, int]] | tuple[int, int] | None = None,
        with_output: bool = False,
        environment_variables: dict[str, object] | None = None,
        run_env: str = "auto",
        ssh_options_override_ssh_key: str = "",
        shutdown_after_run: bool = False,
        silent: bool = False,
    ) -> str:
        """Run ``cmd`` here. Raises SystemExit with its status, or LaunchError, as Ray's own runners do."""
        self._tell_ports([port_forward] if isinstance(port_forward, tuple) else port_forward or [])
        if not cmd:
            return ""
        _refuse_detached()
        script = _script(cmd)
        cmd, stop_after = (cmd, bool(invocation().options["stop"])) if script else _without_shutdown(cmd)
        if not script and cmd.strip().endswith("ray stop"):  # `ray up` puts "export NAME=value; " before it
            self.stop(with_scripts=invocation().verb in ("down", "teardown"))
            return ""
        with self._session(private=script is not None) as folder:
            environment = self._environment(folder, environment_variables or {})
            if "ray start" in cmd:
                environment["DASHBOARD_PORT"] = str(self._choose_dashboard_port())
                environment["PROCESSORS"] = str(allowed())
            command = script or ["bash", "-c", cmd]
            if with_output:
                return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
            status = processes.run(
                command, environment, interactive=not script, record=self.place.scripts if script else None
            )
            if stop_after:
                self.stop(with_scripts=False)
            if status and exit_on_fail:
                raise SystemExit(status)
            if status:
                raise LaunchError(f"this command ended with exit status {status}: {cmd}")
        return ""

    def stop(self, *, with_scripts: bool) -> None:
        """End the head that ``ray up`` started; ``with_scripts``: first every script of this cluster.

        Scripts are asked first, so that a study saves its state while its Ray still answers.
        """
        if with_scripts:
            scripts = processes.recorded(self.place.scripts)
            self.place.tags.unlink(missing_ok=True)
            if scripts:
                click.echo(f"Asking {counted(len(scripts), 'running script')} of this cluster to end.")
            processes.end(scripts, SCRIPT_PATIENCE_S)
        daemons = processes.ray_processes(self.place.temp if with_scripts else self.place.head)
        processes.end(daemons, RAY_PATIENCE_S)
        shutil.rmtree(self.place.temp if with_scripts else self.place.head, ignore_errors=True)
        click.echo(f"Stopped {len(daemons)} Ray processes of this cluster.")

    def run_rsync_up(self, source: str, target: str, options: dict[str, Any] | None = None) -> None:
        if target.startswith("~/ray_bootstrap_"):
            return  # configuration and key of an autoscaler: one machine has none
        if invocation().verb == "submit" and target == "~/" + os.path.basename(source):
            if not os.path.isfile(source):
                raise LaunchError(f"no script {source}; name a Python file of this machine")
            return  # it is run where it lies, so that it finds what lies beside it
        _copy(Path(source), Path(target).expanduser())

    def run_rsync_down(self, source: str, target: str, options: dict[str, Any] | None = None) -> None:
        _copy(Path(source).expanduser(), Path(target))

    def remote_shell_command_str(self) -> str:
        return os.environ.get("SHELL", "bash") + "\n"

    @property
    def _note(self) -> Path:
        """Where the head of this cluster leaves its address."""
        return note_of_head({"RAY_TMPDIR": str(self.place.head)})

    @contextmanager
    def _session(self, *, private: bool) -> Iterator[Path]:
        """The temporary folder for one command: the head's, or a script's own when there is no head.

        A script's own goes when the script ends well; a failed one leaves its logs until `ray down`.
        """
        private_folder(self.place.temp)
        note = self._note
        head_runs = bool(head_at(note).address)
        if not head_runs:
            note.unlink(missing_ok=True)  # Ray would try to reach a head that died, or would fail on a damaged note
        folder = private_folder(self.place.head if head_runs or not private else self.place.temp / str(os.getpid()))
        yield folder
        if folder != self.place.head:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def _environment(folder: Path, extra: dict[str, object]) -> dict[str, str]:
        environment = {
            **os.environ,
            "RAY_TMPDIR": str(folder),
            # Ray's switch for laptops: every address is 127.0.0.1, also where a script starts its own Ray.
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            # Under `uv run ray submit` Ray would pack the project and build a second environment.
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)]),
        }
        environment.pop("RAY_ADDRESS", None)  # another cluster's
        environment.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ensure_token(environment)
        return environment | {key: json.dumps(value, separators=(",", ":")) for key, value in extra.items()}

    def _choose_dashboard_port(self) -> int:
        """The first free port, kept for `ray dashboard`: a second user's head cannot have the usual one."""
        port = next((port for port in DASHBOARD_PORTS if _free(port)), None)
        if port is None:
            raise LaunchError(f"no free port for the dashboard among {DASHBOARD_PORTS[0]} to {DASHBOARD_PORTS[-1]}")
        (self.place.head / "dashboard_port").write_text(str(port))
        return port

    def _tell_ports(self, forwards: list[tuple[int, int]]) -> None:
        for _, remote in forwards:
            port = remote
            if invocation().verb == "dashboard" and remote == DASHBOARD_PORTS[0]:
                if not head_at(self._note).address:
                    raise LaunchError("no head runs here, so there is no dashboard; start one with `ray up`")
                with suppress(OSError, ValueError):  # lost or damaged: the port that was asked for stands
                    port = int((self.place.head / "dashboard_port").read_text())
                if _free(port):
                    raise LaunchError(f"the head has no dashboard on port {port}; install ray[default] for one")
            click.echo(f"Nothing to forward, this machine is the head: http://localhost:{port}")


def _script(cmd: str) -> list[str] | None:
    """The exact command of a script that `ray submit` runs, or None for any other command."""
    verb, options = invocation()
    if verb != "submit" or not cmd.startswith("python ~/" + os.path.basename(options["script"])):
        return None
    arguments = options["script_args"] or shlex.split(options["args"] or "")
    return [sys.executable, os.path.abspath(options["script"]), *arguments]


def _refuse_detached() -> None:
    verb, options = invocation()
    if verb in ("submit", "exec", "attach") and (options.get("screen") or options.get("tmux")):
        raise LaunchError("--screen and --tmux are for hosts over ssh; here, start `ray submit` inside screen or tmux")


def _without_shutdown(cmd: str) -> tuple[str, bool]:
    """``cmd`` without the shutdown that ``--stop`` appends, and whether it was there."""
    kept, count = SHUTDOWN.subn("", cmd)
    if invocation().verb == "exec" and invocation().options.get("stop") and not count:
        raise LaunchError(f"--stop would power off this machine, so it is refused; run `ray down` afterwards ({cmd})")
    return kept, bool(count)


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def _copy(source: Path, target: Path) -> None:
    if not source.exists():
        raise LaunchError(f"nothing to copy: {source} does not exist")
    if source.is_dir():
        if source.resolve() != target.resolve():
            shutil.copytree(source, target, dirs_exist_ok=True)
    elif target.is_dir():
        _copy(source, target / source.name)
    elif source.resolve() != target.resolve():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
