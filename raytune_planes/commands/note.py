"""Write a note or tags to a study, for people."""

from __future__ import annotations

import argparse

from raytune_planes.commands.arguments import add_out

EXAMPLES = ('note STUDY "the floor of planesnet was too high"', "note STUDY --tag paper --tag baseline", "note STUDY")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", metavar="STUDY", help="its name")
    parser.add_argument("text", nargs="?", default="", metavar="TEXT", help="the note; without it, all notes are shown")
    parser.add_argument("--tag", action="append", default=[], metavar="WORD", help="a tag; can be repeated")
    add_out(parser)


def run(args: argparse.Namespace) -> None:
    from raytune_planes.invocation import command, in_folder
    from raytune_planes.tracking import notes
    from raytune_planes.tracking.files import find_study

    folder = find_study(args.out, args.study)
    if args.text or args.tag:
        print("\n".join(notes.add_notes(folder, args.text, args.tag).as_lines()))
        print(f"To show it in MLflow too: {command(f'sync {args.study}{in_folder(args.out)}')}")
    else:
        print("\n".join(notes.read_notes(folder).as_lines()) or "no note and no tag is written yet")
