"""YAML from people: what it may not hold, whichever file of ours it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.settings import load, parse_assignments
from raytune_planes.strict_yaml import DEEPEST, LARGEST_BYTES, MOST, strict_yaml

LAUGHS = "\n".join(["a0: &a0 [ha, ha]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))])
"""The billion laughs: sixty lines that stand for more words than there is memory."""


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, r"line 2: an alias \(\*name\); a file of settings needs neither"),
        ("a: " + "[" * (DEEPEST + 1), "more than 8 levels"),
        ("? " * 5000, "more than 8 levels|too deeply"),
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' occurs here and in line 1"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 2024-13-45", "month must be in 1..12"),
        ("{[a, b]: 1}", "unhashable key"),
        ("x" * LARGEST_BYTES + "x", "larger than 200,000 bytes; a file of settings is short"),
        ("\n".join(f"a{n}: 1" for n in range(MOST)), "more than 5,000 words and numbers"),
        ("- 1", "holds no settings"),
    ],
)
def test_what_no_file_of_settings_may_hold(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        strict_yaml(text, "mine.yaml", "settings")
    (tmp_path / "best.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        load(tmp_path / "best.yaml")


@pytest.mark.parametrize("value", ["2024-13-45", "*a", "[" * 3000, "!!python/object:os.system x"])
def test_a_value_on_the_command_line_that_yaml_cannot_read_is_refused(value: str) -> None:
    with pytest.raises(UserError, match="--set: a value cannot be read"):
        parse_assignments([f"optim.lr={value}"])
