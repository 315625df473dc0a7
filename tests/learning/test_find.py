"""Which studies are read, and that one which cannot be is named and costs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.learning import earlier_studies
from tests.learning.past import a_study, write


def test_finished_studies_below_out_are_found_and_the_new_one_and_those_that_run_are_not(tmp_path: Path) -> None:
    write(tmp_path, a_study("one"))
    write(tmp_path, a_study("two"))
    write(tmp_path, a_study("me"))
    write(tmp_path, a_study("runs"), ended=False)
    found = earlier_studies(tmp_path, [], but="me")
    assert [study.name for study in found.studies] == ["one", "two"]
    assert found.warnings == ()
    assert found.studies[0].trials == a_study("one").trials


def test_studies_are_named_by_name_folder_or_the_folder_that_holds_them(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    write(here, a_study("one"))
    write(here, a_study("two"))
    write(there, a_study("three"))
    write(there, a_study("four"))

    def names(*named: str) -> list[str]:
        return [study.name for study in earlier_studies(here, named).studies]

    assert names("two") == ["two"]
    assert names(str(there / "three"), "one") == ["three", "one"]
    assert names(str(there)) == ["four", "three"]
    assert names("none") == []


def test_a_name_that_is_no_study_is_refused_with_those_there_are(tmp_path: Path) -> None:
    write(tmp_path, a_study("one"))
    with pytest.raises(UserError, match=r"--learn-from tow is neither a study in .*there are: one; --learn-from none"):
        earlier_studies(tmp_path, ["tow"])
    with pytest.raises(UserError, match="--learn-from none stands alone"):
        earlier_studies(tmp_path, ["none", "one"])


def test_a_damaged_study_is_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, a_study("good"))
    (write(tmp_path, a_study("bad")) / "study.json").write_text('{"format": 1, "start": ')
    torn = write(tmp_path, a_study("torn"))
    (sorted((torn / "trials").iterdir())[2] / "trial.json").write_text("{")
    found = earlier_studies(tmp_path, [])
    assert [study.name for study in found.studies] == ["good", "torn"]
    assert len(found.studies[1].trials) == 19
    assert "study bad is not learnt from" in found.warnings[0]
    assert "left out, its records cannot be read" in found.warnings[1]
    assert (
        "it has not ended"
        in earlier_studies(tmp_path, [str(write(tmp_path, a_study("open"), ended=False))]).warnings[0]
    )
