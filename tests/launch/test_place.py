"""Folders and token of a cluster on this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from raytune_planes.launch.place import LaunchError, ensure_token, place, private_folder


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_state_and_sockets_are_entered_by_nobody_else() -> None:
    found = place("mine")
    try:
        assert [mode(found.state), mode(found.state.parent), mode(found.temp)] == [0o700] * 3
        assert found.state.parent.parent == Path(os.environ["XDG_STATE_HOME"])
    finally:
        found.temp.rmdir()


def test_clusters_and_state_folders_have_sockets_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [place("one"), place("two"), place("one")]
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another user's"))
    found.append(place("one"))
    for folder in {p.temp for p in found}:
        folder.rmdir()
    assert found[0] == found[2]
    assert len({p.temp for p in found}) == 3


def test_a_cluster_may_have_any_name_and_its_sockets_stay_short() -> None:
    found = place("../läb of\n" + "x" * 300)
    found.temp.rmdir()
    assert found.state.parent.name == "raytune-planes"
    session = "ray/session_2026-12-31_23-59-59_999999_4194304/sockets/plasma_store"
    assert len(str(found.head / session)) < 107
    assert len(str(found.temp / "4194304" / session)) < 107


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    with pytest.raises(LaunchError, match="must be a folder of your own"):
        private_folder(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make somebody else's folder")
def test_somebody_elses_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(LaunchError, match="belongs to someone else"):
        private_folder(tmp_path / "theirs")


def test_a_home_that_cannot_be_written_is_told_with_the_variable_that_names_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "file"
    home.touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "state"))
    with pytest.raises(LaunchError, match=r"cannot be made \(.*irectory.*\); XDG_STATE_HOME names another place"):
        place("mine")
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(LaunchError, match="Ray's token cannot be kept in .*; RAY_AUTH_TOKEN_PATH names another file"):
        ensure_token({})


def test_a_folder_open_to_others_is_closed(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir(mode=0o755)
    assert mode(private_folder(tmp_path / "open")) == 0o700


def test_a_token_is_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    file = tmp_path / "ray" / "auth_token"
    environment = {"RAY_AUTH_TOKEN_PATH": str(file)}
    ensure_token(environment)
    first = file.read_text()
    file.chmod(0o644)  # as Ray's own command makes it
    ensure_token(environment)
    assert environment["RAY_AUTH_MODE"] == "token"
    assert len(first) >= 64
    assert file.read_text() == first
    assert mode(file) == 0o600
    assert [p.name for p in file.parent.iterdir()] == ["auth_token"]


@pytest.mark.parametrize("own", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "secret"}])
def test_a_users_own_choice_of_authentication_stays(tmp_path: Path, own: dict[str, str]) -> None:
    environment = {"RAY_AUTH_TOKEN_PATH": str(tmp_path / "auth_token"), **own}
    ensure_token(environment)
    assert not (tmp_path / "auth_token").exists()
    assert own.items() <= environment.items()
