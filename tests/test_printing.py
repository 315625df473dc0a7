"""Names from outside never reach a terminal as commands, and what cannot be shown is told as an escape."""

from __future__ import annotations

import io
import logging
import sys

import pytest

from raytune_planes.printing import by_words, counted, in_number, printable, safe, safe_output

TITLE = "\x1b]0;owned\x07"
"""Sets the title of a terminal's window."""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (f"{TITLE}.png", r"\x1b]0;owned\x07.png"),
        ("a\nraytune-planes: all is well\r", r"a\nraytune-planes: all is well\r"),
        ("\x9b31mred\x7f\x00\t", r"\x9b31mred\x7f\x00\t"),
        ("gnp\u202egpj.exe\u2066\u2028\u2029\x85", r"gnp\u202egpj.exe\u2066\u2028\u2029\x85"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("✈ plane (1) 👨‍✈️ é\u200cß", "✈ plane (1) 👨‍✈️ é\u200cß"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_an_escape(name: str, shown: str) -> None:
    assert printable(name) == shown


def test_a_message_keeps_its_lines() -> None:
    assert printable(f"one\n\ttwo{TITLE}\r\n", lines=True) == "one\n\ttwo\\x1b]0;owned\\x07\\r\n"


def test_all_output_of_a_command_is_printable_and_the_streams_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with safe_output():
        print(f"out {TITLE}")
        sys.stderr.writelines([f"err {TITLE}\n"])
        logging.getLogger("nobody.configured.this").warning("log %s", TITLE)
        sys.stdout.flush()
    assert (sys.stdout, sys.stderr) == before
    said = capsys.readouterr()
    assert said.out == "out \\x1b]0;owned\\x07\n"
    assert "err \\x1b]0;owned\\x07\n" in said.err
    assert "\x1b" not in said.err


def test_the_end_of_colours_that_a_library_writes_at_exit_is_not_shown_as_an_escape() -> None:
    stream = io.StringIO()
    safe(stream).write("\x1b[0m")  # as colorama does, to the standard output that it found when it was imported
    safe(stream).write("\x1b[0mx")
    assert stream.getvalue() == "\x1b[0m\\x1b[0mx"


def test_a_terminal_of_few_letters_gets_escapes_instead_of_a_traceback() -> None:
    kept = io.BytesIO()
    stream = safe(io.TextIOWrapper(kept, "ascii"))
    print("caf\xe9 ✈ \udcff", file=stream, flush=True)
    assert kept.getvalue() == rb"caf\xe9 \u2708 \xff" + b"\n"


@pytest.mark.parametrize(
    ("number", "words", "told"),
    [
        (1, ("pair",), "1 pair"),
        (0, ("pair",), "0 pairs"),
        (1200, ("box", "boxes"), "1,200 boxes"),
        (1, ("class", "classes"), "1 class"),
        (0.5, ("CPU",), "0.5 CPUs"),
        (1.0, ("CPU",), "1 CPU"),
        (1000.0, ("CPU",), "1000 CPUs"),
    ],
)
def test_a_count_has_its_noun_in_the_singular_where_it_is_one(number: float, words: tuple[str, ...], told: str) -> None:
    assert counted(number, *words) == told


def test_a_count_of_one_makes_the_noun_before_a_phrase_singular() -> None:
    assert in_number(1, "files of s.json, left out") == "1 file of s.json, left out"
    assert in_number(1, "boxes without an area") == "1 box without an area"
    assert in_number(2000, "boxes without an area") == "2,000 boxes without an area"


def test_long_lines_are_broken_between_words_in_a_terminal_and_commands_and_tables_stay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("COLUMNS", "30")
    prose = "hrplanes: tiles of 192 px, neighbours sharing 25% of their side"
    table, paste = f"{'metric':30}  0.4", "go on with: uv run raytune-planes tune --resume night"
    told = by_words("\n".join([prose, table, "", paste]), Screen()).split("\n")
    assert told == ["hrplanes: tiles of 192 px,", "neighbours sharing 25% of", "their side", table, "", paste]
    assert by_words(f"  {prose}", Screen()).split("\n")[1:] == ["  neighbours sharing 25% of", "  their side"]
    assert by_words(prose, io.StringIO()) == prose, "a pipe has no width"
