"""Write augmented copies of training pictures to disk, beside their sources: a new folder of class folders."""

from __future__ import annotations

import argparse
import sys

from raytune_planes.commands.arguments import at_least, place
from raytune_planes.errors import UserError
from raytune_planes.invocation import command, quoted
from raytune_planes.printing import counted, printable

EXAMPLES = (
    "augment DIR --out NEW --copies 3 --with rotate=30 --with noise=0.05",
    "augment DIR --out NEW --balance",
    "augment DIR/hrplanes --out NEW --crops",
)
NAME = "mine"
"""Of the dataset, in messages about its settings."""
BLENDS = ("mixup", "cutmix")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", type=place, metavar="DIR", help="a folder of class folders; with --crops, scenes with boxes"
    )
    parser.add_argument(
        "--out", required=True, type=place, metavar="FOLDER", help="where to write; must be new or empty"
    )
    parser.add_argument(
        "--copies", type=at_least(0), default=1, metavar="N", help="copies of each training picture (default: 1)"
    )
    parser.add_argument("--balance", action="store_true", help="more copies of rarer classes, until all are as large")
    parser.add_argument(
        "--crops",
        action="store_true",
        help="cut each object out by its box, and as many tiles without one: classes plane and background",
    )
    parser.add_argument(
        "--with",
        dest="settings",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="strength of a change, as datasets.NAME.augment has it (see: settings datasets); can be repeated",
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="S", help="seed of what is drawn (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Raises UserError: the folder cannot be read, the new one is not empty, or a setting blends several pictures."""
    from raytune_planes.datasets import offline, reader
    from raytune_planes.datasets.split_folders import is_augmented
    from raytune_planes.settings import make_config, only, parse_assignments

    given = parse_assignments([f"datasets.{NAME}.augment.{each}" for each in args.settings])
    kind = "hrplanes" if args.crops else "image_folder"
    own = {f"datasets.{NAME}.reader": kind, f"datasets.{NAME}.root": str(args.folder)}
    config = make_config(own, given, only([NAME], own))
    settings = config.datasets[NAME]
    if blended := [name for name in BLENDS if getattr(settings.augment, name)]:
        raise UserError(
            f"{blended[0]} blends pictures of several classes, and a copy on disk has one; leave it to training "
            f"(datasets.NAME.augment.{blended[0]})"
        )
    if args.out.exists() and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UserError(f"{printable(args.out)} holds something already; name a new folder with --out")
    if args.out.resolve().is_relative_to(args.folder.resolve()):
        raise UserError(
            f"{printable(args.out)} lies in {printable(args.folder)}, where it would be read as more of its pictures; "
            "name a folder beside it with --out"
        )
    source = reader(NAME, settings, None)
    listing = source.scan()
    for warning in listing.warnings:
        print(f"{printable(args.folder)}: {warning}", file=sys.stderr)
    found = list(offline.crops(listing) if args.crops else offline.whole_pictures(listing))
    pictures = [each for each in found if not is_augmented(each.sample.path.name)]
    if len(pictures) < len(found):
        left = counted(len(found) - len(pictures), "picture that augment wrote", "pictures that augment wrote")
        print(f"{printable(args.folder)}: {left} earlier, left out", file=sys.stderr)
    counts = offline.copies_of(pictures, args.copies, args.balance)
    offline.write(source, pictures, counts, args.out, settings.augment.applied, settings.turns(NAME), args.seed)
    for name in sorted({picture.name for picture in pictures}):
        mine = [(p, n) for p, n in zip(pictures, counts, strict=True) if p.name == name and p.split == "train"]
        copies = sum(n for _, n in mine)
        print(f"  {printable(name):<30} {counted(len(mine), 'training picture')}, {copies:,} augmented")
    both = f"{counted(len(pictures), 'picture')} and {sum(counts):,} augmented, which only train,"
    print(f"{both} are in {printable(args.out)}")
    print(f"Look at them: {command(f'data {quoted(args.out)}')}")
    return 0
