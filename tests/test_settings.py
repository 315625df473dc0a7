"""Dotted settings: what exists can be set, what does not is refused with a suggestion."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raytune_planes.errors import UserError
from raytune_planes.settings import (
    defaults,
    flatten,
    load,
    make_config,
    only,
    parse_assignments,
    path_made_absolute,
    settings,
)
from raytune_planes.tracking.jsonl import dotted_yaml


def test_settings_that_do_not_exist_and_values_that_do_not_fit_are_named_together() -> None:
    with pytest.raises(UserError) as told:
        make_config({"optim.lrr": 1, "optim.lr": 5, "budget.epochs": 0}, source="best.yaml")
    lines = str(told.value).splitlines()
    assert lines[0] == "best.yaml: 3 problems"
    assert [line.split()[-1] for line in lines[1:]] == ["'optim.lr'?", "1", "1"]
    assert lines[1].startswith("  - no setting 'optim.lrr'")
    assert lines[2].startswith("  - optim.lr = 5")


def test_the_defaults_are_a_valid_configuration() -> None:
    assert flatten(make_config()) == defaults()


def test_every_setting_says_what_it_means() -> None:
    assert [s.path for s in settings() if not s.about] == []


def test_a_misspelt_setting_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no setting 'optim.lrr'; did you mean 'optim.lr'\?"):
        make_config({"optim.lrr": 1e-3})


def test_a_misspelt_dataset_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no dataset 'fvgc' \(in 'datasets.fvgc.head.depth'\); did you mean 'fgvc'\?"):
        make_config({"datasets.fvgc.head.depth": 1})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(UserError) as told:
        make_config({"optim.lr": 5, "datasets.fgvc.head.depth": 9, "budget.epochs": 0}, source="best.yaml")
    assert str(told.value).startswith("best.yaml: 3 problems")
    assert "datasets.fgvc.head.depth = 9: input should be less than or equal to 3" in str(told.value)


def test_a_section_is_no_setting() -> None:
    with pytest.raises(UserError, match="'datasets.fgvc' is a section"):
        make_config({"datasets.fgvc": 2})


def test_settings_that_do_not_fit_together_are_refused() -> None:
    with pytest.raises(UserError, match="model.dit.heads = 5 does not divide"):
        make_config({"model.dit.heads": 5})
    with pytest.raises(UserError, match="no dataset is enabled"):
        make_config({f"datasets.{n}.enabled": False for n in ("planesnet", "hrplanes", "fgvc")})
    with pytest.raises(UserError, match="every enabled dataset has share 0"):
        make_config({f"datasets.{n}.share": 0 for n in ("planesnet", "hrplanes", "fgvc")})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"decoded_size": 48}, "fgvc.decoded_size = 48 is smaller than datasets.fgvc.image_size = 64.*at least 64"),
        (
            {"augment.crop_min": 0.5, "augment.crop_max": 0.2},
            "crop_min = 0.5 is larger than .*crop_max = 0.2; exchange",
        ),
        ({"augment.turns": True}, "fgvc.augment.turns turns pictures upside down.*set datasets.fgvc.view=overhead"),
        ({"augment.turns": True, "augment.flips": False, "view": "overhead"}, "turns is true and .*flips false"),
    ],
)
def test_a_shape_of_pictures_that_contradicts_itself_is_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_config({f"datasets.fgvc.{path}": value for path, value in settings.items()})


def test_pictures_from_above_may_be_turned_whatever_their_reader() -> None:
    config = make_config({"datasets.fgvc.view": "overhead", "datasets.fgvc.augment.turns": True})
    assert config.datasets["fgvc"].turns("fgvc")


def test_a_dataset_of_ones_own_names_its_reader() -> None:
    config = make_config({"datasets.mine.reader": "fgvc", "datasets.mine.head.depth": 3})
    assert list(config.active) == ["planesnet", "hrplanes", "fgvc", "mine"]
    assert config.datasets["mine"].head.depth == 3
    with pytest.raises(UserError, match="a dataset of your own names its reader: datasets.mine.reader"):
        make_config({"datasets.mine.head.depth": 3})


def test_a_saved_configuration_comes_back_equal(tmp_path: Path) -> None:
    config = make_config({"optim.lr": 1e-4, "datasets.fgvc.stop.target": 0.5, "seed": 7})
    (tmp_path / "best.yaml").write_text(dotted_yaml(flatten(config), "trial 3"))
    assert (tmp_path / "best.yaml").read_text().startswith("# trial 3\n")
    assert make_config(load(tmp_path / "best.yaml")) == config


def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        load(tmp_path / "gone.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="cannot be read as YAML"):
        load(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="holds no settings"):
        load(tmp_path / "list.yaml")


def test_assignments_are_read_as_yaml_with_exponents_as_numbers() -> None:
    assert parse_assignments(["optim.lr=1e-5", "datasets.fgvc.enabled=false", "stopping.rule=stop", "seed=3"]) == {
        "optim.lr": 1e-5,
        "datasets.fgvc.enabled": False,
        "stopping.rule": "stop",
        "seed": 3,
    }


def test_an_assignment_without_equals_is_refused() -> None:
    with pytest.raises(UserError, match="'optim.lr' has no '='; write PATH=VALUE"):
        parse_assignments(["optim.lr"])


@given(
    st.dictionaries(st.sampled_from(sorted(defaults())), st.none() | st.booleans() | st.floats() | st.text(max_size=5))
)
def test_any_value_gives_a_configuration_or_one_clear_error(layer: dict[str, object]) -> None:
    try:
        config = make_config(layer)
    except UserError as error:
        assert str(error).startswith("settings: ")
    else:
        assert make_config(flatten(config)) == config


def test_a_dataset_of_the_catalog_that_is_no_standard_joins_where_a_setting_names_it() -> None:
    assert list(make_config().datasets) == ["planesnet", "hrplanes", "fgvc"]
    named = make_config({"datasets.image_folder.root": "/mine"})
    assert list(named.active) == ["planesnet", "hrplanes", "fgvc", "image_folder"]
    assert "image_folder" not in make_config({"datasets.image_folder.enabled": False}).active


def test_only_lets_exactly_the_named_datasets_take_part() -> None:
    mine = {"datasets.mine.reader": "image_folder"}
    assert list(make_config(mine, only(["mine"], mine)).active) == ["mine"]
    assert list(make_config(mine, only(["fgvc", "planesnet"], mine)).active) == ["planesnet", "fgvc"]
    with pytest.raises(UserError, match="no dataset 'fvgc'.*did you mean 'fgvc'"):
        make_config(only(["fvgc"]))


def test_a_prompt_says_where_the_class_goes() -> None:
    assert make_config({"datasets.fgvc.prompt": "a {class} from above"}).datasets["fgvc"].prompt
    with pytest.raises(UserError, match="datasets.fgvc.prompt = 'a plane': it has another form"):
        make_config({"datasets.fgvc.prompt": "a plane"})


def test_paths_are_made_absolute_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert path_made_absolute("datasets.mine.root=a/b") == f"datasets.mine.root={tmp_path}/a/b"
    assert path_made_absolute("datasets.mine.root=/a") == "datasets.mine.root=/a"
    assert path_made_absolute("datasets.mine.root=") == "datasets.mine.root="
    assert path_made_absolute("optim.lr=1") == "optim.lr=1"
    assert path_made_absolute("text.templates=mine.txt") == f"text.templates={tmp_path}/mine.txt"
    assert path_made_absolute("text.templates=photo") == "text.templates=photo"
    assert path_made_absolute("start=a/best.pt") == f"start={tmp_path}/a/best.pt"
    assert path_made_absolute("start=") == "start="


def test_a_file_full_of_strangers_is_refused_without_naming_each() -> None:
    with pytest.raises(UserError, match=r"21 problems(.|\n)*no setting 'x0'(.|\n)*and 480 more that are no settings"):
        make_config({f"x{n}": 1 for n in range(500)})


@pytest.mark.parametrize("name", ["classes", "bands"])
def test_an_id_may_be_given_as_a_number(name: str) -> None:
    given = parse_assignments([f"datasets.hrplanes.{name}=3"])
    assert flatten(make_config(given))[f"datasets.hrplanes.{name}"] == "3"


def test_a_setting_of_several_kinds_is_named_once_and_as_it_is_typed() -> None:
    with pytest.raises(UserError) as told:
        make_config({"datasets.hrplanes.tile": 0})
    assert str(told.value) == (
        "settings: datasets.hrplanes.tile = 0: input should be greater than or equal to 16, or input should be 'auto'"
    )


def test_where_a_text_has_another_form_no_pattern_is_shown() -> None:
    with pytest.raises(UserError, match=r"bands = '3,2': it has another form; '.*settings datasets.hrplanes.bands'"):
        make_config({"datasets.hrplanes.bands": "3,2"})


def test_a_number_in_quotes_is_a_text() -> None:
    given = parse_assignments(["datasets.hrplanes.classes='07'", "optim.lr=1e-5"])
    assert given == {"datasets.hrplanes.classes": "07", "optim.lr": 1e-5}
