"""``python -m tests.benchmarks [NAME ...] [--quick] [--json FILE]``: runs benchmarks and prints a table for each."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import (
    augmentations,
    backbones,
    chaos,
    cores,
    crowd,
    data,
    distillation,
    elsewhere,
    encoders,
    frozen,
    fullsize,
    fuzz,
    gains,
    growth,
    hypervolume,
    lcbench_table,
    loop,
    memory,
    oracle,
    overhead,
    remaining,
    scale,
    scenes,
    sharing,
    soak,
    spaces,
    specialists,
    startup,
    stopping,
    suggestions,
    switches,
    transfer,
    turned,
)
from tests.benchmarks.tables import Missing, Table, all_aims

BENCHMARKS: Mapping[str, Callable[[bool], Table]] = {
    "overhead": overhead.measure,
    "loop": loop.measure,
    "switches": switches.measure,
    "data": data.measure,
    "fullsize": fullsize.measure,
    "augmentations": augmentations.measure,
    "backbones": backbones.measure,
    "memory": memory.measure,
    "cores": cores.measure,
    "startup": startup.measure,
    "transfer": transfer.measure,
    "elsewhere": elsewhere.measure,
    "growth": growth.measure,
    "scale": scale.measure,
    "crowd": crowd.measure,
    "remaining": remaining.measure,
    "suggestions": suggestions.measure,
    "oracle": oracle.measure,
    "lcbench": lcbench_table.measure,
    "hypervolume": hypervolume.measure,
    "chaos": chaos.measure,
    "fuzz": fuzz.measure,
    "soak": soak.measure,
    "gains": gains.measure,
    "encoders": encoders.measure,
    "frozen": frozen.measure,
    "scenes": scenes.measure,
    "turned": turned.measure,
    "spaces": spaces.measure,
    "specialists": specialists.measure,
    "sharing": sharing.measure,
    "distillation": distillation.measure,
    "stopping": stopping.measure,
}
"""Each takes whether to run a reduced version."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ({', '.join(BENCHMARKS)}; default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer seeds and tasks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    args = parser.parse_args()
    unknown = [name for name in args.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no benchmark '{unknown[0]}'; there are: {', '.join(BENCHMARKS)}")
    warnings.simplefilter("ignore")
    results: dict[str, Table] = {}
    missing = False
    for name in args.names or BENCHMARKS:
        try:
            result = BENCHMARKS[name](args.quick)
        except Missing as error:
            missing = True
            print(f"{name}: not run: {error}\n", flush=True)
            continue
        results[name] = result
        print(result.as_text() + "\n", flush=True)
    if any(result.aims for result in results.values()):
        print(all_aims(results), flush=True)
    if args.json:
        figures: dict[str, Any] = {name: dict(result.figures) for name, result in results.items()}
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
