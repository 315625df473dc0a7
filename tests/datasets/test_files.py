"""Listings are sorted and stay inside; text files that cannot be read say so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from raytune_planes.datasets import files
from raytune_planes.errors import UserError


def test_listings_are_sorted_and_leave_out_what_is_hidden(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a", ".hidden/x", "__MACOSX/y", ".z", "lost+found/x"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in files.walk(tmp_path)] == ["a", "b/1", "b/2"]


@pytest.mark.skipif(os.getuid() == 0, reason="the administrator may read every folder")
def test_a_folder_that_cannot_be_read_is_told_and_the_rest_is_listed(tmp_path: Path) -> None:
    for name in ("a/1", "b/2"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    (tmp_path / "a").chmod(0)
    told: list[UserError] = []
    assert [path.name for path in files.walk(tmp_path, told.append)] == ["2"]
    assert [str(error) for error in told] == [f"{tmp_path / 'a'} cannot be read: Permission denied"]
    with pytest.raises(UserError, match="a cannot be read: Permission denied"):
        list(files.walk(tmp_path))


def test_a_link_from_one_folder_of_the_root_to_another_is_no_way_out(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    (tmp_path / "a" / "picture").touch()
    os.symlink(tmp_path / "a" / "picture", tmp_path / "b" / "picture")
    assert len(list(files.walk(tmp_path))) == 2


def test_lines_carry_their_numbers_and_blank_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeff one \r\n\r\n\ttwo".encode())
    assert files.lines(tmp_path / "a") == [(1, "one"), (3, "two")]


def test_a_text_file_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none cannot be read: No such file"):
        files.lines(tmp_path / "none")
    (tmp_path / "latin").write_bytes("Embraer é".encode("latin-1"))
    with pytest.raises(UserError, match=r"latin is not UTF-8 text"):
        files.lines(tmp_path / "latin")


def test_a_long_list_is_shortened() -> None:
    assert files.some(["a", "b"]) == "a, b"
    assert files.some(list("abcde")) == "a, b, c and 2 more"
