"""Commands in messages carry the prefix by which the program was called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raytune_planes.invocation import INSIDE_UV, MODULE_OF, command


@pytest.mark.parametrize(
    ("environment", "whole"),
    [
        ({}, "raytune-planes best"),
        ({INSIDE_UV: "1"}, "uv run raytune-planes best"),
        ({INSIDE_UV: "1", MODULE_OF: "/usr/bin/python3"}, "python3 -m uv run raytune-planes best"),
        ({MODULE_OF: "/usr/bin/python3"}, "raytune-planes best"),
    ],
)
def test_a_command_has_the_prefix_of_the_call(environment: dict[str, str], whole: str) -> None:
    assert command("best", environment) == whole


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
