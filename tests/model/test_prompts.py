"""Which sentences speak of a class, and the vector that several of them give."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from raytune_planes.datasets.base import Info
from raytune_planes.errors import UserError
from raytune_planes.model.prompts import MOST, TEMPLATES, ensemble, read_templates, sentences, unique

INFO = Info("mine", ("big_jet", "glider"), ("a big jet, seen", "a glider, seen"))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_packaged_set_has_different_sentences_that_all_say_where_the_class_goes(name: str) -> None:
    assert len(set(TEMPLATES[name])) == len(TEMPLATES[name]) > 1
    assert all(line.count("{class}") == 1 for line in TEMPLATES[name])
    assert read_templates(name) == TEMPLATES[name]


def test_without_a_setting_each_class_has_the_sentence_of_its_reader() -> None:
    assert sentences(INFO, "", "") == (("a big jet, seen",), ("a glider, seen",))


def test_templates_give_every_class_the_same_sentences() -> None:
    jet, glider = sentences(INFO, "", "photo")
    assert jet == tuple(line.replace("{class}", "big jet") for line in TEMPLATES["photo"])
    assert len(glider) == len(jet)


def test_a_datasets_own_prompt_comes_before_the_templates_of_all() -> None:
    assert sentences(INFO, "one {class}", "photo") == (("one big jet",), ("one glider",))


def test_a_file_holds_one_sentence_a_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# of my own\n\n  a {class}\nthe {class}, a {class}\na {class}\n", encoding="utf-8")
    assert read_templates(str(path)) == ("a {class}", "the {class}, a {class}")
    assert sentences(INFO, "", str(path))[1] == ("a glider", "the glider, a glider")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a {class}\na plane\n{clas}\n", r"2 problems\n.*line 2: 'a plane' does not say.*\n.*line 3: '\{clas\}'"),
        ("# nothing\n\n", "no sentence; write one a line"),
        ("".join(f"{i} {{class}}\n" for i in range(MOST + 1)), f"{MOST + 1} sentences; {MOST} are the most"),
    ],
)
def test_a_faulty_file_is_refused_with_all_that_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(UserError, match=message):
        read_templates(str(tmp_path / "mine.txt"))


def test_a_name_or_a_file_that_does_not_exist_is_refused_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"'foto': no templates of that name; did you mean 'photo'\? \(there are: photo, ov"
    ):
        read_templates("foto")
    with pytest.raises(
        UserError, match=r"gone.txt' cannot be read \(No such file or directory\); give a file that every"
    ):
        read_templates(str(tmp_path / "gone.txt"))
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read \\(no UTF-8 text"):
        read_templates(str(tmp_path / "bytes.txt"))


def test_an_ensemble_is_the_mean_of_unit_vectors_made_one_long() -> None:
    row_KTW = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.6, 0.8], [1.0, 0.0]]])
    second_W = torch.tensor([0.8, 0.4]) / (0.8**2 + 0.4**2) ** 0.5
    torch.testing.assert_close(ensemble(row_KTW), torch.stack([torch.tensor([0.5, 0.5]) * 2**0.5, second_W]))


def test_one_sentence_keeps_its_vector_to_the_last_bit() -> None:
    row_K1W = F.normalize(torch.randn(5, 1, 7), dim=2)
    assert torch.equal(ensemble(row_K1W), row_K1W[:, 0])


def test_equal_sentences_are_encoded_once() -> None:
    assert unique([("a", "b"), ("b", "c"), ("a", "c")]) == (["a", "b", "c"], [[0, 1], [1, 2], [0, 2]])
