"""List the settings with type, range, default and meaning."""

from __future__ import annotations

import argparse

EXAMPLES = ("settings optim", "settings datasets.fgvc.image_size")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", nargs="?", default="", metavar="PATH", help="only this setting or section, e.g. optim")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="as the page search_spaces/SETTINGS.md")
    form.add_argument("--schema", action="store_true", help="as a JSON schema of space files, for editors")


def run(args: argparse.Namespace) -> None:
    import json

    from raytune_planes.errors import UserError
    from raytune_planes.space.reference import as_markdown, as_text, own_dataset, rows
    from raytune_planes.space.schema import space_schema

    if args.path and (args.markdown or args.schema):
        raise UserError("--markdown and --schema hold all settings; leave out the PATH")
    if args.schema:
        print(json.dumps(space_schema(), indent=1))
    else:
        chosen = rows(args.path)
        if about := own_dataset(args.path):
            print(about + "\n")
        print(as_markdown() if args.markdown else as_text(chosen), end="" if args.markdown else "\n")
