"""What a person looks things up with: help, spaces, studies, notes, completion, and the settings of a training."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from raytune_planes.cli import main, make_parser
from raytune_planes.commands import VERBS
from raytune_planes.commands.training_folder import numbered_folder
from raytune_planes.errors import UserError
from raytune_planes.learning import earlier_studies
from raytune_planes.records import End
from raytune_planes.space import packaged
from raytune_planes.tracking.files import find_study
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.notes import add_notes, read_notes
from tests.tracking.studies import START, ended, epoch, play, trial

OWN = "about: Mine?\nobjectives: [val/fgvc/accuracy]\nsearch: {optim.lr: {float: [0.001, 0.01]}}\nstudy: {trials: 5}\n"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Two studies: ``quick-1`` has the larger gain, ``small`` is later."""
    play(JsonlTracker(tmp_path))
    later = replace(START, name="small", started_ms=START.started_ms + 1000)
    trials = tuple(ended(trial(n), End.COMPLETED, "done", epoch(1, value)) for n, value in ((0, 0.30), (1, 0.34)))
    play(JsonlTracker(tmp_path), start=later, trials=trials)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_a_bare_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys)
    assert text.startswith("usage: raytune-planes")
    assert all(f"    {verb} " in text for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_ends_with_commands_that_its_parser_takes(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    assert f"examples:\n  raytune-planes {verb}" in capsys.readouterr().out
    for example in VERBS[verb].EXAMPLES:
        assert make_parser().parse_args(shlex.split(example)).verb == verb


@pytest.mark.parametrize("verb", ["tune", "check"])
def test_the_help_of_a_verb_that_takes_a_space_lists_them(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    listed = capsys.readouterr().out.split("packaged spaces:\n")[1]
    assert tuple(line.split()[0] for line in listed.splitlines()) == packaged()


def test_spaces_lists_the_packaged_ones_and_those_of_a_folder_with_what_they_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    (tmp_path / "broken.yaml").write_text("search: {optim.lr: 3}\n")
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    rows = {row["name"]: row for row in json.loads(said(capsys, "spaces", str(tmp_path), "--json"))}
    assert tuple(rows)[: len(packaged())] == packaged()
    mine = rows[str(tmp_path / "mine.yaml")]
    assert (mine["about"], mine["dimensions"], mine["trials"], mine["fault"]) == ("Mine?", 1, 5, "")
    assert "optim.lr" in rows[str(tmp_path / "broken.yaml")]["fault"]
    assert str(tmp_path / "compose.yaml") not in rows
    assert f"{tmp_path / 'mine.yaml'}  (1 dimension, 5 trials)\n    Mine?\n" in said(capsys, "spaces", str(tmp_path))


def test_studies_are_sorted_by_time_or_by_gain(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    by_time = json.loads(said(capsys, "studies", "--out", str(out), "--json"))
    assert [row["name"] for row in by_time] == ["small", "quick-1"]
    by_gain = json.loads(said(capsys, "studies", "--out", str(out), "--json", "--sort", "gain"))
    assert [(row["name"], row["best"], round(row["gain"], 6)) for row in by_gain] == [
        ("quick-1", 3, 0.15),
        ("small", 1, 0.02),
    ]
    assert [row["state"] for row in by_gain] == ["completed", "completed"]
    table = said(capsys, "studies", "--out", str(out), "--sort", "gain").splitlines()
    assert table[1].split()[0] == "quick-1"
    assert "+0.1500" in table[1]


def test_a_study_that_cannot_be_read_is_listed_with_the_reason(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (out / "small" / "study.json").write_text("{")
    text = said(capsys, "studies", "--out", str(out))
    assert "small cannot be read: " in text
    assert "quick-1" in text


def test_a_note_and_tags_are_kept_and_shown_wherever_the_study_is(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--out", str(out)]
    assert "note of " in said(capsys, "note", "small", "too few\ntrials", "--tag", "paper", *at)
    text = said(capsys, "note", "small", "--tag", "old", "--tag", "paper", *at)
    assert text.startswith("tags: paper, old\nnote of ")
    assert [note.text for note in read_notes(find_study(out, "small")).notes] == ["too few trials"]
    (row,) = json.loads(said(capsys, "studies", "--tag", "old", "--json", *at))
    assert (row["name"], row["about"], row["tags"]) == ("small", "too few trials", ["paper", "old"])
    assert "tags: paper, old\n" in said(capsys, "best", "small", *at)


def test_mistakes_in_notes_are_told(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = find_study(out, "small")
    with pytest.raises(UserError, match=r"'a b' cannot be a tag; use a word"):
        add_notes(study, tags=["a b"])
    with pytest.raises(UserError, match=r"the note has 2,001 characters; 2,000 are allowed"):
        add_notes(study, "x" * 2001)
    assert main(["studies", "--tag", "new", "--out", str(out)]) == 2
    assert "has the tag 'new'; there are: no tags" in capsys.readouterr().err
    (study / "notes.json").write_text("[]")
    with pytest.raises(UserError, match=r"notes.json cannot be read"):
        add_notes(study, "again")
    assert "notes.json cannot be read" in said(capsys, "best", "small", "--out", str(out))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(("words", "expected"), [("stu", "studies"), ("best --pre", "--prefer")])
def test_the_completion_for_bash_completes_verbs_and_options(
    words: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["--print-completion", "bash"])
    typed = f"COMP_WORDS=(raytune-planes {words}) COMP_CWORD={len(words.split())}\n"
    ask = "_shtab_raytune_planes raytune-planes\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
    script = f"{capsys.readouterr().out}\n{typed}{ask}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == [expected], done.stderr


def test_the_printed_settings_are_a_file_for_config(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = said(capsys, "train", "--set", "budget.epochs=5", "--print-config")
    assert yaml.safe_load(text)["budget.epochs"] == 5
    path = tmp_path / "config.yaml"
    path.write_text(text)
    assert said(capsys, "train", "--config", str(path), "--print-config") == text


def test_a_training_without_a_folder_gets_a_new_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = numbered_folder(tmp_path)
    assert (first, capsys.readouterr().out) == (tmp_path / "train", "")
    second = numbered_folder(tmp_path)
    assert second == tmp_path / "train-2"
    assert f"This training is in {second}" in capsys.readouterr().out
    (tmp_path / "train-again").mkdir()
    assert numbered_folder(tmp_path, resume=True) == second
    assert numbered_folder(tmp_path) == tmp_path / "train-3"


def test_studies_are_exported_to_a_file_that_others_learn_from(out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = out / "planes.json"
    text = said(capsys, "studies", "--out", str(out), "--export", str(file))
    assert f"{file} holds 5 trials of 2 studies" in text
    found = earlier_studies(out, [str(file)])
    assert sorted((s.name, len(s.trials)) for s in found.studies) == [("quick-1", 2), ("quick-2", 3)]
    add_notes(out / "small", "", ["paper"])
    said(capsys, "studies", "--out", str(out), "--tag", "paper", "--export", str(file))
    assert [len(s.trials) for s in earlier_studies(out, [str(file)]).studies] == [2]
    assert main(["studies", "--out", str(out / "empty"), "--export", str(file)]) == 2
    assert "has ended; nothing is written" in capsys.readouterr().err
