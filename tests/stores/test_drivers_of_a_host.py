"""Processes of one host note which studies of a store they drove: none forgets what another noted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from raytune_planes.commands.stored_drivers import last, remember

NOTES = """
import sys
from pathlib import Path
from raytune_planes.commands.stored_drivers import remember
for number in range(40):
    remember(Path(sys.argv[1]), f"{sys.argv[2]}-{number}", "run")
"""


def test_processes_that_note_at_once_forget_nothing(tmp_path: Path) -> None:
    others = [subprocess.Popen([sys.executable, "-c", NOTES, str(tmp_path), name]) for name in "ab"]
    remember(tmp_path, "mine", "run")
    assert [other.wait() for other in others] == [0, 0]
    assert last(tmp_path) == dict.fromkeys(["mine", *(f"{name}-{n}" for name in "ab" for n in range(40))], "run")
