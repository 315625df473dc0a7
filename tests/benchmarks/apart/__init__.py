"""Tuners whose packages do not go with those of this project: each runs in an environment and a process of its own.

A script of this folder names what it needs in its head (PEP 723), and ``uv run --script`` installs that. Script and
benchmark speak in lines of JSON; the packages see the calls that their own drivers make.
"""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from raytune_planes.records import End, EpochRecord, TrialRecord
from raytune_planes.tuning.search import Suggestion
from tests.benchmarks.lcbench import DIMENSIONS, EPOCHS, FIRST, METRIC, REDUCTION
from tests.benchmarks.tables import Missing

FOLDER = Path(__file__).parent
RUNNER = (sys.executable, "-m", "uv", "run", "-q", "--no-project", "--script")


class Apart:
    """A search whose decisions are made by a script of this folder.

    Raises:
        Missing: the script ends before its first answer, as where its packages cannot be installed.
    """

    def __init__(self, seed: int, script: str, *arguments: str, runner: Sequence[str] = RUNNER) -> None:
        """``script``: its name in this folder, or its path."""
        self._script = FOLDER / script
        self._process = subprocess.Popen(
            [*runner, str(self._script), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._numbers: dict[str, int] = {}
        weakref.finalize(self, _close, self._process)
        ranges = [[d.path, d.kind, d.low, d.high, d.log] for d in DIMENSIONS]
        self._call(seed=seed, dimensions=ranges, first=FIRST, reduction=REDUCTION, epochs=EPOCHS)

    def ask(self) -> Suggestion:
        told = self._call(op="ask")
        number = self._numbers.setdefault(told["id"], len(self._numbers))
        return Suggestion(told["id"], number, told["drawn"])

    def report(self, trial: Suggestion, epoch: EpochRecord, final: bool) -> bool:
        told = self._call(op="report", id=trial.trial_id, epoch=epoch.epoch, value=epoch.metrics[METRIC], final=final)
        return bool(told["stop"])

    def tell(self, record: TrialRecord) -> None:
        last = record.epochs[-1]
        self._call(
            op="tell",
            id=record.trial_id,
            epoch=last.epoch,
            value=last.metrics[METRIC],
            over=record.end is End.COMPLETED,
        )

    def _call(self, **asked: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):  # it has ended: there is no answer either
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Missing(f"{self._script.name} has ended with {self._process.wait()}; see above")
        return dict(json.loads(line))


def _close(process: subprocess.Popen[str]) -> None:
    """The script ends with its input."""
    assert process.stdin is not None
    assert process.stdout is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    process.stdout.close()
    process.wait()
