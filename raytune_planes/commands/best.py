"""Show the best configuration of a study beside the defaults."""

from __future__ import annotations

import argparse
from pathlib import Path

from raytune_planes.commands.arguments import add_out


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    parser.add_argument("--prefer", metavar="METRIC", help="take the trial of the Pareto front that is best in this")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the configuration for train --config")
    add_out(parser)


def run(args: argparse.Namespace) -> int:
    import json

    from raytune_planes.report import summary
    from raytune_planes.tracking.files import find_study, read_study

    study = read_study(find_study(args.out, args.study))
    choice = summary.choose(study, args.prefer)
    if args.save and choice.trial is not None:
        summary.save_config(choice, args.save)
    print(json.dumps(summary.as_json(choice), indent=1) if args.json else summary.as_text(choice))
    return 0 if choice.trial is not None else 1
