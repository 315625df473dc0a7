"""The command line: picks a verb, and turns a user's mistake into one message and exit status 2."""

from __future__ import annotations

import argparse
import errno
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

from raytune_planes import __version__
from raytune_planes.commands import VERBS, stored
from raytune_planes.commands.script_output import tell_error
from raytune_planes.errors import DISK_FULL, UserError, did_you_mean, first_line
from raytune_planes.invocation import command
from raytune_planes.printing import printable, safe_output
from raytune_planes.processors import wait_asleep

FREE_SPACE = "free some space or choose another folder"
RIGHTS = "give this user the right to it, or choose another folder"
READ_ONLY = "that disk can only be read: choose another folder"
TOO_LARGE = "a limit (ulimit -f, or the file system's) allows no larger file: raise it, or choose another folder"
TOO_MANY = "raise the limit of open files (ulimit -n)"
BACK = "bring it back, or choose another folder"
OTHER = "give another path"
DISK = {
    **dict.fromkeys(DISK_FULL, FREE_SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM), RIGHTS),
    errno.EROFS: READ_ONLY,
    errno.EFBIG: TOO_LARGE,
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), TOO_MANY),
    **dict.fromkeys((errno.ENOENT, errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.ENODEV), BACK),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP), OTHER),
}
"""What a file system may answer -> what to do. Every file of ours is whole before and after."""
SHELLS = ("bash", "zsh", "tcsh")
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells have it."""
LOADING = ("train", "report", "predict", "ensemble", "export", "serve")
"""Verbs whose first word comes after PyTorch is loaded, which takes seconds: who waits at a terminal is told."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: 0, 1 (something failed), 2 (a mistake) or 130 (Ctrl-C)."""
    with safe_output():
        return _run(argv)


def _run(argv: Sequence[str] | None) -> int:
    parser = make_parser()
    args = parser.parse_args(argv)
    if args.verb is None:
        parser.print_help()
        return 0
    wait_asleep()
    if args.verb in LOADING and sys.stderr.isatty():
        print("Loading PyTorch", file=sys.stderr, flush=True)
    try:
        return stored.run(args)
    except UserError as error:
        return _failed(args, 2, str(error))
    except BrokenPipeError:  # `raytune-planes best | head`
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.errno not in DISK:
            tell_error(args, 1, f"{type(error).__name__}: {first_line(error)}")
            raise
        where = f": {printable(error.filename)}" if error.filename is not None else ""
        return _failed(
            args,
            2,
            f"{error.strerror}{where}. Files written before are intact; "
            f"{DISK[error.errno]}, then continue (tune and train: --resume)",
        )
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _failed(args, INTERRUPTED, "interrupted")
    except Exception as error:  # of ours: its traceback follows
        tell_error(args, 1, f"{type(error).__name__}: {first_line(error)}")
        raise


def _failed(args: argparse.Namespace, status: int, message: str) -> int:
    print(f"raytune-planes {args.verb}: {message}", file=sys.stderr)
    tell_error(args, status, message)
    return status


class Parser(argparse.ArgumentParser):
    """Ends its help with examples, and with the packaged spaces where a verb takes one; neither is made before.

    Of an option that a verb does not have, it names the nearest that the verb has.
    """

    verb: ModuleType | None = None
    _words: Sequence[str] = ()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        self._words = sys.argv[1:] if args is None else list(args)
        parsed, strangers = super().parse_known_args(args, namespace)
        if strangers and self.verb is not None:  # else the whole command line would be blamed, without its options
            self.error(self._strange(strangers))
        return parsed, strangers

    def error(self, message: str) -> NoReturn:
        tell_error(self._words, 2, message)
        super().error(message)

    def _strange(self, words: Sequence[str]) -> str:
        options = [word.partition("=")[0] for word in words if word.startswith("-")]
        if not options:
            return f"unexpected argument {', '.join(map(repr, words))}"
        known = re.findall(r"(?<![\w-])--?([\w-]+)", self.format_usage())  # dashes would make all alike
        see = f"; '{command(self.prog.partition(' ')[2] + ' --help')}' lists them"
        near = (did_you_mean(option.lstrip("-"), known).replace("'", "'--", 1) for option in options)
        return "; ".join(f"no option '{option}'{hint or see}" for option, hint in zip(options, near, strict=True))

    def format_help(self) -> str:
        examples = [command(example) for example in getattr(self.verb, "EXAMPLES", ())]
        parts = [super().format_help()]
        parts += ["\n".join(["examples:", *(f"  {example}" for example in examples)]) + "\n"] if examples else []
        return "\n".join([*parts, *([_spaces()] if getattr(self.verb, "TAKES_SPACE", False) else [])])


class _PrintCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, shell: Any, option: str | None = None) -> None:
        import shtab

        print(shtab.complete(parser, shell))
        parser.exit()


def make_parser(kind: type[argparse.ArgumentParser] = Parser) -> argparse.ArgumentParser:
    """All verbs with their arguments, as a parser of this kind. Imports none of the heavy libraries."""
    parser = kind(prog="raytune-planes", description="Tune one model on several aircraft image datasets at once.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=SHELLS,
        help="print what completes verbs and options in that shell, e.g. for ~/.zfunc/_raytune-planes",
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for name, verb in VERBS.items():
        about = (verb.__doc__ or "").splitlines()[0]
        own = verbs.add_parser(name, help=about, description=about, allow_abbrev=False)
        if isinstance(own, Parser):
            own.verb = verb
        verb.arguments(own)
        own.set_defaults(run=verb.run)
    return parser


def _spaces() -> str:
    from raytune_planes.space.listing import packaged_spaces

    lines = [f"  {space.name:<15} {space.about}" for space in packaged_spaces()]
    return "\n".join(["packaged spaces:", *lines]) + "\n"
