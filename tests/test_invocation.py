"""Commands in messages carry the prefix by which the program was called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raytune_planes.invocation import INSIDE_UV, MODULE_OF, command, in_folder, quoted

MODULE_CALL = ("python3.11", "-m", "raytune_planes", "best")


@pytest.mark.parametrize(
    ("environment", "called", "whole"),
    [
        ({}, (), "raytune-planes best"),
        ({INSIDE_UV: "1"}, (), "uv run raytune-planes best"),
        ({INSIDE_UV: "1", MODULE_OF: "/usr/bin/python3"}, (), "python3 -m uv run raytune-planes best"),
        ({MODULE_OF: "/usr/bin/python3"}, (), "raytune-planes best"),
        ({}, MODULE_CALL, "python3.11 -m raytune_planes best"),
        ({INSIDE_UV: "1"}, MODULE_CALL, "uv run raytune-planes best"),
        ({}, ("python3", "study.py"), "raytune-planes best"),
    ],
)
def test_a_command_has_the_prefix_of_the_call(environment: dict[str, str], called: tuple[str, ...], whole: str) -> None:
    assert command("best", environment, called) == whole


def test_a_program_that_the_shell_does_not_find_by_its_name_is_called_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "my venv" / "bin" / "raytune-planes"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    called = ("python3", str(script), "best")
    assert command("best", {"PATH": "/nowhere"}, called) == f"'{script}' best"
    monkeypatch.chdir(tmp_path)
    assert command("best", {"PATH": "/nowhere"}, called) == "'my venv/bin/raytune-planes' best"
    assert command("best", {"PATH": str(script.parent)}, called) == "raytune-planes best"


def test_paths_are_relative_below_the_current_folder_and_one_word_for_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert quoted(tmp_path / "results" / "quick 1") == "'results/quick 1'"
    assert quoted(Path("-x/best.pt")) == "./-x/best.pt"
    assert quoted(tmp_path.parent / "elsewhere") == str(tmp_path.parent / "elsewhere")


def test_the_results_folder_is_named_only_where_it_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert in_folder(tmp_path / "results") == in_folder(Path("results")) == ""
    assert in_folder(tmp_path / "night") == " --out night"
    monkeypatch.chdir(tmp_path.parent)
    assert in_folder(tmp_path / "results") == f" --out {tmp_path.name}/results"


def test_the_line_that_synth_prints_works_as_pasted_under_uv(tmp_path: Path) -> None:
    """With the variables that ``python3 -m uv run`` sets for the program that it starts."""
    words = ["synth", str(tmp_path / "data"), "--planesnet", "24", "--hrplanes", "4", "--fgvc", "20"]
    done = subprocess.run(
        [sys.executable, "-m", "raytune_planes", *words, "--fgvc-classes", "2"],
        env={INSIDE_UV: "1", MODULE_OF: sys.executable, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"use it with: python3 -m uv run raytune-planes tune --data {tmp_path / 'data'}\n" in done.stdout
