"""Messages speak of what the caller wrote: of options in a shell, of arguments in Python."""

from __future__ import annotations

import pytest

from raytune_planes.calling import as_arguments, settings_words, words
from raytune_planes.settings import parse_assignments


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("--set: no setting 'a.b'", "settings: no setting 'a.b'"),
        ("give --set datasets.mine.root=DIR", "give settings={'datasets.mine.root': DIR}"),
        ("leave out --data (no more), or --no-rungs", "leave out data (no more), or no_rungs"),
        ("--data names a folder; name it with --out", "data names a folder; name it with out"),
        ("give --data DIR (with x/ in it)", "give data=DIR (with x/ in it)"),
        (
            "continue with --resume first, or choose another --name",
            "continue with resume='first', or choose another name",
        ),
        ("continue with --resume first", "continue with resume='first'"),
        ("give --resume to continue it", "give resume to continue it"),
        ("set --concurrent 2 or less", "set concurrent=2 or less"),
        ("argument --trials: 0 is too small", "trials: 0 is too small"),
        ("no option '--trails'; did you mean '--trials'?", "no option 'trails'; did you mean 'trials'?"),
        (
            "run 'raytune-planes tune --resume a' again without --data",
            "run 'raytune-planes tune --resume a' again without data",
        ),
        ("Go on with: uv run raytune-planes tune --out x", "Go on with: uv run raytune-planes tune --out x"),
        ("no file a--data.png", "no file a--data.png"),
    ],
)
def test_an_option_in_a_message_is_told_as_an_argument_and_a_whole_command_stays(message: str, told: str) -> None:
    assert as_arguments(message) == told


def test_arguments_become_the_options_that_the_command_line_reads() -> None:
    given = {"trials": 3, "no_rungs": True, "workers": None, "name": "-x", "start_from": ["a", "b"]}
    assert words(given) == ["--trials=3", "--no-rungs", "--name=-x", "--start-from=a", "--start-from=b"]
    settings = {"optim.lr": 1e-05, "stopping.rule": "none", "datasets.fgvc.enabled": False, "start": "1e3"}
    assert parse_assignments([word.removeprefix("--set=") for word in settings_words(settings)]) == settings
