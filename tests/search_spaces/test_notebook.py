"""The notebook runs from top to bottom, holds no outputs, and calls its figures synthetic."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "search_spaces" / "notebook.ipynb"
MARK = "---- cell"
RUN = f"""
import json, sys
names = {{"__name__": "__main__"}}
for i, source in enumerate(json.load(sys.stdin)):
    print("{MARK}", i, flush=True)
    exec(compile(source, f"cell {{i}}", "exec"), names)
"""
"""Cells share their names, as in a notebook. A kernel would bring IPython, Jupyter and ZeroMQ for the same."""


def cells() -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in found if cell["cell_type"] == "code"]


def test_it_is_kept_without_outputs() -> None:
    assert len(cells()) >= 5
    assert [(cell["outputs"], cell["execution_count"]) for cell in cells()] == [([], None)] * len(cells())


@pytest.mark.slow
def test_it_runs_from_top_to_bottom_and_calls_every_figure_synthetic(tmp_path: Path) -> None:
    sources = ["".join(map(str, cell["source"])) for cell in cells() if isinstance(cell["source"], list)]
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        cwd=tmp_path,
        env={**os.environ, "MPLBACKEND": "agg", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    outputs = done.stdout.split(MARK)[1:]
    assert len(outputs) == len(sources)
    with_figures = [output for output in outputs if re.search(r"\d\.\d", output)]
    assert len(with_figures) >= 3
    assert not [output for output in with_figures if "SYNTHETIC" not in output]
    assert re.search(r"has ended: completed$", outputs[0], re.MULTILINE)
    assert len(re.findall(r"^\d +completed", outputs[1], re.MULTILINE)) == 3
    assert "val/fgvc/accuracy" in outputs[2], "no column of the curves is left out for want of room"
    (page,) = tmp_path.glob("results/plots/*/report.html")
    assert outputs[3].split()[-1] == page.as_uri()
    assert "SYNTHETIC" in page.read_text()
    assert re.search(r"label='(no )?plane'", outputs[4])
