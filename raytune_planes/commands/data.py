"""Check the pictures before training: contents, duplicates, faults."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_set, place, place_or_address
from raytune_planes.errors import UserError

EXAMPLES = ("data DIR", "data DIR --out figures --clean plan.json", "data DIR --estimate")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder",
        nargs="?",
        type=place_or_address,
        metavar="DIR",
        help="what --data names, or a folder of class folders; without it, datasets whose root --set names",
    )
    add_set(parser)
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--out", type=place, metavar="FOLDER", help="write data.json and figures there")
    parser.add_argument(
        "--clean",
        type=place,
        metavar="PLAN.json",
        help="write what a study should leave out, for datasets.NAME.clean; deletes nothing",
    )
    parser.add_argument(
        "--conflicts",
        choices=("drop", "one", "keep"),
        help="what the plan does with copies (identical, flipped, turned or resized) that have several labels: "
        "leave out all of them (default), all but one, or none",
    )
    parser.add_argument(
        "--follow-links",
        action="append",
        default=[],
        metavar="FOLDER",
        help="read what links lead to, below the dataset's root and in FOLDER; can be repeated "
        "(for a study: datasets.NAME.follow_links and .link_roots)",
    )
    parser.add_argument(
        "--split-objects",
        type=place,
        metavar="FOLDER",
        help="write each dataset anew into FOLDER/NAME, where pictures of several objects are cut into one of each: by "
        "boxes beside them, by their masks, or by --detector",
    )
    parser.add_argument(
        "--detector",
        metavar="MODEL",
        help="a model that learnt boxes or masks, as predict names it, for pictures without",
    )
    parser.add_argument(
        "--estimate",
        action="store_true",
        help="also what a study with these settings needs: disk, time to decode, memory, samples an hour",
    )
    parser.add_argument("--strict", action="store_true", help="exit with 1 when there are faults")


def run(args: argparse.Namespace) -> int:
    for option, partner in (("conflicts", "clean"), ("detector", "split_objects")):
        if getattr(args, option) and not getattr(args, partner):
            needed = partner.replace("_", "-")
            raise UserError(f"--{option} says how --{needed} works; give --{needed} too, or leave --{option} out")
    from raytune_planes.commands import data_run
    from raytune_planes.datasets.fetching import fetched

    args.folder = fetched(args.folder, None)
    return data_run.run(args)
