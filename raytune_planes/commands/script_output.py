"""What a script reads of a verb that runs long: one line at the end, or one JSON object per event."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.errors import UserError

if TYPE_CHECKING:
    from raytune_planes.terminal import View

JSON_LINES = "--json-lines"


def add_script_output(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("for scripts").add_mutually_exclusive_group()
    group.add_argument("--quiet", action="store_true", help="print the folder of the results at the end, nothing else")
    group.add_argument(
        JSON_LINES,
        action="store_true",
        help="print one JSON object a line for each event, nothing else; what people read goes to standard error",
    )


class ScriptOutput:
    """What is told of one run, beside what people read."""

    def __init__(self, args: argparse.Namespace) -> None:
        from raytune_planes.terminal.lines import JsonLines

        self.folder: Path | None = None
        """Of the results, as soon as it is known."""
        self._is_json = args.json_lines
        self.lines = JsonLines(sys.stdout if args.json_lines else None)

    def view(self) -> View:
        """How a study is shown."""
        from raytune_planes.terminal import make_view
        from raytune_planes.terminal.lines import JsonLinesView

        return JsonLinesView(self.lines) if self._is_json else make_view(sys.stdout)


def with_script_output(args: argparse.Namespace, run: Callable[[ScriptOutput], int]) -> int:
    """Run with what ``args`` ask for on standard output; returns the exit status of ``run``.

    Raises:
        UserError: ``run`` does.
    """
    out, stdout = ScriptOutput(args), sys.stdout
    with _standard_output(args):
        status = run(out)
    folder = out.folder and str(out.folder)
    out.lines.tell("end", status=status, folder=folder)
    if args.quiet and folder:
        print(folder, file=stdout)
    return status


def refuse_script_output(args: argparse.Namespace, option: str) -> None:
    """Raises UserError: a script's output was asked for with ``option``, which runs nothing."""
    if args.quiet or args.json_lines:
        asked = "--quiet" if args.quiet else JSON_LINES
        raise UserError(f"{option} starts nothing, so {asked} has nothing to tell: leave one of them out")


def tell_error(words: Any, status: int, message: str) -> None:
    """The error as an event, where the command line of these ``words``, or parsed arguments, asks for events."""
    if JSON_LINES in words if isinstance(words, list) else getattr(words, "json_lines", False):
        from raytune_planes.terminal.lines import JsonLines

        JsonLines(sys.stdout).tell("error", status=status, message=message)


@contextmanager
def _standard_output(args: argparse.Namespace) -> Iterator[None]:
    if args.json_lines:
        with redirect_stdout(sys.stderr):
            yield
    elif args.quiet:
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            yield
    else:
        yield
