"""The command: runs every check that has time left, and writes what it found."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from raytune_planes.training.workers import why_no_gpu
from tests.gpu import decoding, equality, processes, speed, study
from tests.gpu.place import LIMIT_S, Found, Place, Skipped

CHECKS: Mapping[str, tuple[Callable[[Place], Found], float]] = {
    "no step waits for the card": (equality.waits, 10),
    "metrics are the CPU's": (equality.metrics, 60),
    "noise is as asked": (equality.noise, 5),
    "pictures are decoded on the card": (decoding.card, 15),
    "a resumed training continues": (equality.resume, 10),
    "bfloat16 learns as float32": (equality.low_precision, 20),
    "two trials share the card": (processes.trials, 40),
    "two workers share the card": (processes.workers, 40),
    "images per second, beside a loop by hand": (speed.by_hand, 30),
    "images per second, beside Lightning": (speed.lightning, 30),
    "a study": (study.run, 90),
    "what compiling costs and saves": (speed.compilation, 100),
}
"""Name -> check, and the seconds below which it is not begun."""
NO_CARD = 3


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="tests/gpu/run",
        description="Check this repository on one NVIDIA GPU, in at most eight minutes. Exit status: 0 where all that "
        "ran held, 1 where something did not, 3 without a GPU.",
    )
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path(os.environ.get("OUT", "gpu-results")),
        help="where report.md, results.json and log.txt are written (default: $OUT, else gpu-results)",
    )
    parser.add_argument("--dry", action="store_true", help="run the same code on a CPU that plays the GPU")
    parser.add_argument(
        "--only",
        nargs="+",
        default=list(CHECKS),
        choices=list(CHECKS),
        metavar="CHECK",
        help=f"run these checks alone, each name in quotes: {'; '.join(CHECKS)}",
    )
    asked = parser.parse_args(arguments)
    asked.folder.mkdir(parents=True, exist_ok=True)
    with (asked.folder / "log.txt").open("w", encoding="utf-8") as log:
        faulthandler.dump_traceback_later(LIMIT_S + 15, exit=True, file=log)
        try:
            found = run(Place(asked.dry), asked.only, asked.folder, log.write)
        finally:
            faulthandler.cancel_dump_traceback_later()
    if not asked.dry and (why := why_no_gpu()):
        print(
            f"Nothing was checked: there is no GPU ({why}). This needs an NVIDIA GPU, its driver, and a torch for "
            "CUDA; tests/gpu/run --dry runs the same code on a CPU"
        )
    print(f"The report is {asked.folder / 'report.md'}")
    return status(found, asked.dry)


def run(
    place: Place, names: Sequence[str], folder: Path, note: Callable[[str], object] = lambda _: None
) -> dict[str, Found]:
    """What each of the checks ``names`` found, written to ``folder`` after each."""
    found: dict[str, Found] = {}
    why = "" if place.dry else why_no_gpu()
    for name in names:
        check, least_s = CHECKS[name]
        began = time.monotonic()
        try:
            if why:
                raise Skipped(f"there is no GPU: {why}")
            if place.left_s < least_s:
                found[name] = Found(False, f"no time was left: it takes {least_s:.0f} s, and {place.left_s:.0f} s are")
            else:
                found[name] = check(place)
        except Skipped as reason:
            found[name] = Found(None, f"skipped: {reason}")
        except Exception as error:  # the checks after it are to be run; the log has all of it
            note(traceback.format_exc())
            found[name] = Found(False, f"{type(error).__name__}: {' '.join(str(error).split())[:400]}")
        result = found[name]
        mark = {True: "held", False: "FAILED", None: "-"}[result.held]
        print(f"{mark:7} {name} ({time.monotonic() - began:.0f} s): {result.text}", flush=True)
        _write(folder, found, place)
    return found


def status(found: Mapping[str, Found], dry: bool) -> int:
    """The exit status that ``found`` stands for."""
    if any(result.held is False for result in found.values()):
        return 1
    return NO_CARD if not dry and why_no_gpu() else 0


def _write(folder: Path, found: Mapping[str, Found], place: Place) -> None:
    card = "a CPU that plays a card" if place.dry else "no GPU"
    if not place.dry and not why_no_gpu():
        card = torch.cuda.get_device_name()
    told = {"card": card, "torch": torch.__version__, "checks": {name: asdict(f) for name, f in found.items()}}
    (folder / "results.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    lines = [f"# Checks on {card}, torch {torch.__version__}", "", "| check | held | found |", "| --- | --- | --- |"]
    words = {True: "yes", False: "**no**", None: "skipped"}
    lines += [f"| {name} | {words[f.held]} | {f.text} |" for name, f in found.items()]
    figures = [(name, key, value) for name, f in found.items() for key, value in f.figures.items()]
    lines += ["", "| check | figure | value |", "| --- | --- | --- |"] if figures else []
    lines += [f"| {name} | {key} | {value:.4g} |" for name, key, value in figures]
    (folder / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
