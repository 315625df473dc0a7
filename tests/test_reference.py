"""The page of settings and the schema of space files: current, complete, and true to what `check` accepts."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import jsonschema
import pytest

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.settings import settings
from raytune_planes.space import FOLDER, packaged
from raytune_planes.space.reference import ANY, as_markdown, rows
from raytune_planes.space.schema import space_schema
from raytune_planes.strict_yaml import strict_yaml


@cache
def checker() -> jsonschema.protocols.Validator:
    """What an editor checks by; the schema is a sound one itself."""
    schema = space_schema()
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    checks: jsonschema.protocols.Validator = kind(schema)
    return checks


def test_the_page_of_settings_is_current() -> None:
    assert (FOLDER / "SETTINGS.md").read_text(encoding="utf-8") == as_markdown()


def test_the_schema_beside_the_spaces_is_current() -> None:
    assert json.loads((FOLDER / "space.schema.json").read_text(encoding="utf-8")) == space_schema()


def test_every_setting_has_a_row_with_its_type_default_and_meaning() -> None:
    found = {row.path: row for row in rows()}
    assert set(found) == {
        ".".join(["datasets", ANY, *parts[2:]]) if (parts := s.path.split("."))[0] == "datasets" else s.path
        for s in settings()
    } | {"stages.STAGE.SETTING"}
    assert all(row.type and row.default for row in found.values())
    assert not [path for path, row in found.items() if not row.about and not path.endswith((".augment", ".head"))]
    width = found[f"datasets.{ANY}.head.width"]
    assert (width.type, width.default) == ("integer from 8 to 4096", "256")
    assert found[f"datasets.{ANY}.image_size"].default == "64 (planesnet: 24)"
    assert found["optim.kind"].type == "one of adamw, sgd, lion"
    assert found["optim.lr"].type == "number above 0 to 1"
    assert found[f"datasets.{ANY}.stop.target"].type == "number from 0 to 1 or null"


def test_a_part_of_the_page_goes_by_the_beginning_of_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert [row.path for row in rows("model.dit")] == ["model.dit.depth", "model.dit.heads"]
    assert [row.path for row in rows("seed")] == ["seed"]
    assert rows("datasets.fgvc.head") == rows(f"datasets.{ANY}.head")
    assert main(["settings", "model.dit.depth"]) == 0
    assert "model.dit.depth  (integer from 0 to 12; default 1)" in capsys.readouterr().out


def test_a_dataset_of_ones_own_has_the_settings_of_any(capsys: pytest.CaptureFixture[str]) -> None:
    assert rows("datasets.mine") == rows(f"datasets.{ANY}")
    assert main(["settings", "datasets.mine.head"]) == 0
    about, _, listed = capsys.readouterr().out.partition("\n\n")
    assert "set datasets.mine.reader to one of those, and datasets.mine.root to its folder" in about
    assert "planesnet, hrplanes, fgvc, image_folder" in about
    assert [line.split()[0] for line in listed.splitlines() if line.startswith("datasets.")] == [
        row.path for row in rows(f"datasets.{ANY}.head")
    ]
    with pytest.raises(
        UserError, match=r"no setting or section 'datasets\.mine\.haed'; did you mean 'datasets\.NAME\.head'"
    ):
        rows("datasets.mine.haed")
    with pytest.raises(UserError, match=r"no dataset 'fvgc' \(in 'datasets\.fvgc'\); did you mean 'fgvc'\?"):
        rows("datasets.fvgc")


def test_a_path_that_does_not_exist_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UserError, match="no setting or section 'model.ditt'; did you mean 'model.dit'"):
        rows("model.ditt")
    assert main(["settings", "optim", "--schema"]) == 2
    assert "leave out the PATH" in capsys.readouterr().err


@pytest.mark.parametrize("name", packaged())
def test_the_schema_accepts_every_packaged_space(name: str) -> None:
    path = FOLDER / f"{name}.yaml"
    checker().validate(strict_yaml(path.read_text(encoding="utf-8"), name, "search space"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"search": {"optim.rl": {"float": [0.1, 0.2]}}},
        {"search": {"optim.lr": {"float": [0.1]}}},
        {"search": {"optim.lr": {"float": [0.1, 0.2], "int": [1, 2]}}},
        {"fixed": {"optim.kind": "adam"}},
        {"fixed": {"budget.epochs": 0}},
        {"objectives": [{"metric": "val/fgvc/acuracy"}]},
        {"study": {"trails": 5}},
        {"flors": {}},
    ],
)
def test_the_schema_refuses_what_a_person_mistypes(wrong: dict[str, object]) -> None:
    right = {"objectives": [{"metric": "val/fgvc/accuracy"}], "search": {"optim.lr": {"float": [0.1, 0.2]}}}
    checker().validate(right)
    with pytest.raises(jsonschema.ValidationError):
        checker().validate({**right, **wrong})


def test_packaged_spaces_name_the_schema_for_editors() -> None:
    for name in packaged():
        first = Path(FOLDER / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
        assert first == "# yaml-language-server: $schema=space.schema.json"
