"""What the command runner makes of the commands that Ray's launcher hands it."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from ray.autoscaler.tags import STATUS_UP_TO_DATE, TAG_RAY_NODE_STATUS

from raytune_planes.launch.place import LaunchError, Place, place
from raytune_planes.launch.runner import ThisMachineRunner
from raytune_planes.launch.this_machine import ThisMachine

SHUTDOWN = "; ray stop; ray teardown ~/ray_bootstrap_config.yaml --yes --workers-only; sudo shutdown -h now"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A place whose sockets lie in the test's folder: no Ray is started, so they may be long."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token"))
    found = place("test")
    yield Place(found.state, tmp_path / "sockets")
    found.temp.rmdir()


@contextmanager
def ray(verb: str, **options: Any) -> Iterator[None]:
    """As if this process were ``ray VERB`` with these options."""
    context = click.Context(click.Command(verb), info_name=verb)
    context.params = {"screen": False, "tmux": False, "stop": False, "args": None, "script_args": (), **options}
    with context:
        yield


def submit(place: Place, script: Path, *arguments: str, more: str = "", **options: Any) -> None:
    with ray("submit", script=str(script), script_args=arguments, **options):
        command = " ".join(["python", f"~/{script.name}", *arguments]) + more
        ThisMachineRunner(place).run(command, exit_on_fail=True)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """Writes its arguments and environment beside itself, and ends with the status in ``status``."""
    file = tmp_path / "my script.py"
    file.write_text(
        "import json, os, sys, pathlib\n"
        "folder = pathlib.Path(__file__).parent\n"
        "folder.joinpath('seen').write_text(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
        "folder.joinpath('notes').write_text(str([p.name for p in (folder / 'sockets' / 'scripts').iterdir()]))\n"
        "status = folder.joinpath('status')\n"
        "sys.exit(int(status.read_text()) if status.exists() else 0)\n"
    )
    return file


def seen(script: Path) -> tuple[list[str], dict[str, str]]:
    arguments, environment = json.loads(script.with_name("seen").read_text())
    return arguments, environment


def test_a_scripts_arguments_arrive_as_they_were_typed(here: Place, script: Path) -> None:
    typed = ["--set", "a=b c", 'it\'s "quoted"', "$HOME", "", "*", "--", SHUTDOWN, "; ray stop"]
    submit(here, script, *typed)
    assert seen(script)[0] == typed


def test_arguments_in_the_older_form_are_split_as_a_shell_would(here: Place, script: Path) -> None:
    with ray("submit", script=str(script), args="--trials 4 --name 'two words'"):
        ThisMachineRunner(here).run(f"python ~/{script.name} --trials 4 --name 'two words'")
    assert seen(script)[0] == ["--trials", "4", "--name", "two words"]


def test_a_script_gets_a_ray_of_its_own_that_is_private_and_on_loopback(
    here: Place, script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "somewhere.else:6379")
    submit(here, script)
    environment = seen(script)[1]
    assert Path(environment["RAY_TMPDIR"]).parent == here.temp
    assert "RAY_ADDRESS" not in environment
    assert environment["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert environment["RAY_AUTH_MODE"] == "token"
    assert environment["PATH"].startswith(str(Path(sys.executable).parent))
    assert (tmp_path / "token").exists()
    assert len(json.loads(script.with_name("notes").read_text().replace("'", '"'))) == 1
    assert sorted(p.name for p in here.temp.iterdir()) == ["scripts"]  # its sessions went with it


def test_a_script_uses_the_head_that_answers_and_forgets_the_one_that_died(here: Place, script: Path) -> None:
    address = here.head / "ray" / "ray_current_cluster"
    address.parent.mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as head:
        address.write_text(f"127.0.0.1:{head.getsockname()[1]}")
        submit(here, script)
        assert seen(script)[1]["RAY_TMPDIR"] == str(here.head)
    submit(here, script)
    assert seen(script)[1]["RAY_TMPDIR"] != str(here.head)
    assert not address.exists()


@pytest.mark.parametrize("content", [b"garbage", b"", b"127.0.0.1:port", b"\xff\xfe"])
def test_a_damaged_note_of_a_head_is_no_head(here: Place, script: Path, content: bytes) -> None:
    address = here.head / "ray" / "ray_current_cluster"
    address.parent.mkdir(parents=True)
    address.write_bytes(content)
    submit(here, script)
    assert Path(seen(script)[1]["RAY_TMPDIR"]).parent == here.temp
    assert not address.exists()


@pytest.mark.parametrize("content", [b"garbage", b"", b"\xff\xfe", b"[1]"])
def test_damaged_tags_are_as_good_as_none(here: Place, content: bytes) -> None:
    here.tags.write_bytes(content)
    node = ThisMachine({}, "test")
    assert node.place.tags == here.tags
    assert node.node_tags("this-machine")[TAG_RAY_NODE_STATUS] == STATUS_UP_TO_DATE
    node.set_node_tags("this-machine", {"a": "b"})
    assert node.node_tags("this-machine")["a"] == "b"


def test_the_scripts_exit_status_is_that_of_ray_submit_and_its_logs_stay(here: Place, script: Path) -> None:
    script.with_name("status").write_text("7")
    with pytest.raises(SystemExit) as ended:
        submit(here, script)
    assert ended.value.code == 7
    assert Path(seen(script)[1]["RAY_TMPDIR"]).is_dir()


def test_stop_after_a_script_leaves_the_machine_on(
    here: Place, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submit(here, script, "--trials", "4", more=SHUTDOWN, stop=True)
    assert seen(script)[0] == ["--trials", "4"]
    assert "Stopped 0 Ray processes" in capsys.readouterr().out


def test_stop_after_a_command_leaves_the_machine_on_or_is_refused(here: Place, tmp_path: Path) -> None:
    with ray("exec", stop=True):
        ThisMachineRunner(here).run(f"touch '{tmp_path}/ran'{SHUTDOWN}")
        with pytest.raises(LaunchError, match="--stop would power off this machine"):
            ThisMachineRunner(here).run(f"touch '{tmp_path}/ran too'; poweroff")
    assert (tmp_path / "ran").exists()
    assert not (tmp_path / "ran too").exists()


@pytest.mark.parametrize("terminal", ["screen", "tmux"])
def test_a_detached_terminal_is_refused(here: Place, script: Path, terminal: str) -> None:
    with pytest.raises(LaunchError, match="start `ray submit` inside screen or tmux"):
        submit(here, script, **{terminal: True})


def test_a_missing_script_is_named(here: Place) -> None:
    with ray("submit", script="nowhere.py"), pytest.raises(LaunchError, match=r"no script nowhere\.py"):
        ThisMachineRunner(here).run_rsync_up("nowhere.py", "~/nowhere.py")


def test_a_failing_command_is_told_or_ends_with_its_status(here: Place) -> None:
    runner = ThisMachineRunner(here)
    with pytest.raises(LaunchError, match="exit status 3: exit 3"):
        runner.run("exit 3")
    with pytest.raises(SystemExit) as ended:
        runner.run("exit 3", exit_on_fail=True)
    assert ended.value.code == 3
    assert runner.run("echo $RAY_TMPDIR", with_output=True).strip() == str(here.head)


def test_a_head_gets_a_free_dashboard_port_that_ray_dashboard_then_names(
    here: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    runner = ThisMachineRunner(here)
    with ray("dashboard"), pytest.raises(LaunchError, match="start one with `ray up`"):
        runner.run(port_forward=[(8265, 8265)])
    with socket.socket() as other_user:
        other_user.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            other_user.bind(("127.0.0.1", 8265))
            other_user.listen()
        except OSError:
            pass  # somebody has it already: as good
        chosen = runner.run("true ray start; echo $DASHBOARD_PORT", with_output=True).strip()
    assert 8265 < int(chosen) < 8365
    with ray("dashboard"), pytest.raises(LaunchError, match="no head runs here, so there is no dashboard"):
        runner.run(port_forward=[(8265, 8265)])  # it was killed, and left its files
    with ray("dashboard"), socket.create_server(("127.0.0.1", 0)) as head:
        note = here.head / "ray" / "ray_current_cluster"
        note.parent.mkdir()
        note.write_text(f"127.0.0.1:{head.getsockname()[1]}")
        with pytest.raises(LaunchError, match=f"no dashboard on port {chosen}; install ray.default. for one"):
            runner.run(port_forward=[(8265, 8265)])
        with socket.create_server(("127.0.0.1", int(chosen))):
            runner.run(port_forward=[(8265, 8265)])
    assert f"http://localhost:{chosen}" in capsys.readouterr().out
    with ray("attach"):
        runner.run(port_forward=[(5000, 5000)])
    assert "http://localhost:5000" in capsys.readouterr().out


def test_a_head_is_told_the_processors_that_this_process_may_use(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("raytune_planes.launch.runner.allowed", lambda: 3)
    assert ThisMachineRunner(here).run("true ray start; echo $PROCESSORS", with_output=True) == "3\n"


def test_no_free_dashboard_port_is_told(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr("raytune_planes.launch.runner.DASHBOARD_PORTS", range(port, port + 1))
        with pytest.raises(LaunchError, match=f"no free port for the dashboard among {port} to {port}"):
            ThisMachineRunner(here).run("ray start")


def test_files_are_copied_up_and_down(here: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a").write_text("A")
    runner = ThisMachineRunner(here)
    with ray("rsync-up"):
        runner.run_rsync_up(f"{tmp_path}/data/", "~/data")
        runner.run_rsync_up(f"{tmp_path}/data/a", "~/there/b")
        runner.run_rsync_up(f"{tmp_path}/data/a", f"{tmp_path}/data")  # onto itself
        runner.run_rsync_up(f"{tmp_path}/data/a", "~/ray_bootstrap_config.yaml")
    with ray("rsync-down"):
        runner.run_rsync_down("~/there/b", f"{tmp_path}/back")
        with pytest.raises(LaunchError, match=r"nothing to copy: .*nowhere does not exist"):
            runner.run_rsync_down("~/nowhere", f"{tmp_path}/back")
    assert [(tmp_path / name).read_text() for name in ("home/data/a", "home/there/b", "data/a", "back")] == ["A"] * 4
    assert sorted(p.name for p in (tmp_path / "home").iterdir()) == ["data", "there"]
