"""Draw synthetic aircraft in the on-disk formats of the three datasets."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import at_least, place
from raytune_planes.invocation import command, quoted

EXAMPLES = ("synth DIR --planesnet 400 --fgvc 600",)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=place, metavar="DIR", help="where to write; must not exist or be empty")
    parser.add_argument("--planesnet", type=at_least(24), default=4000, metavar="N", help="chips (default: 4000)")
    parser.add_argument("--hrplanes", type=at_least(3), default=24, metavar="N", help="scenes (default: 24)")
    parser.add_argument("--fgvc", type=at_least(6), default=6000, metavar="N", help="photographs (default: 6000)")
    parser.add_argument("--fgvc-classes", type=at_least(2), default=100, metavar="N", help="variants (default: 100)")
    parser.add_argument("--oriented", action="store_true", help="label scenes with oriented boxes, along the headings")
    parser.add_argument(
        "--touching", action="store_true", help="every second scene has planes in rows, wing tip to wing tip"
    )
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="S", help="seed of what is drawn (default: 0)")


def run(args: argparse.Namespace) -> None:
    from raytune_planes.datasets.synthetic import synthesise
    from raytune_planes.errors import UserError

    if args.folder.exists() and (not args.folder.is_dir() or any(args.folder.iterdir())):
        raise UserError(f"{args.folder} is not empty; name a new folder, so that nothing of yours is overwritten")
    synthesise(
        args.folder,
        planesnet=args.planesnet,
        hrplanes=args.hrplanes,
        fgvc=args.fgvc,
        fgvc_classes=args.fgvc_classes,
        seed=args.seed,
        oriented=args.oriented,
        touching=args.touching,
    )
    print(f"SYNTHETIC data is in {args.folder}; use it with: {command(f'tune --data {quoted(args.folder)}')}")
