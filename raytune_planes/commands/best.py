"""Show the best configuration of a study beside the defaults."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_out, place

EXAMPLES = ("best", "best STUDY --prefer val/fgvc/accuracy", "best --save best.yaml")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", nargs="?", metavar="STUDY", help="its name (default: the latest)")
    parser.add_argument(
        "--prefer", metavar="METRIC", help="show the trial that is best in this metric and keeps the floors"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--save", type=place, metavar="FILE", help="write the configuration for train --config")
    add_out(parser)


def run(args: argparse.Namespace) -> int:
    import json

    from raytune_planes.report import summary, summary_json
    from raytune_planes.tracking import files, jsonl, reading

    study = reading.read_study(files.find_study(args.out, args.study))
    summarised = summary.summarise(study, args.prefer)
    if args.save and summarised is not None:
        about = f"trial {summarised.best.number} of study {study.start.name}, {summarised.best.trial_id}"
        files.write_whole(args.save, jsonl.dotted_yaml(summarised.best.config, about))
    print(
        json.dumps(summary_json.as_json(study, args.prefer), indent=1)
        if args.json
        else summary.as_text(study, prefer=args.prefer)
    )
    return 0 if summarised is not None else 1
