"""The README files: their links, paths and commands exist, and the map of the package is the one that is checked."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from raytune_planes.cli import make_parser
from raytune_planes.settings import defaults, parse_assignments
from raytune_planes.space import check, load_space
from tests.test_layers import HOMES, LEVELS

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / p for p in ("README.md", "search_spaces/README.md", "raytune_planes/README.md", "tests/README.md")]
PAGES += [ROOT / "cluster/README.md", ROOT / "tests/benchmarks/README.md", *sorted((ROOT / ".github").glob("*.md"))]
PREFIX = "python3 -m uv run "


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    """The fragment that links to a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(page)):
        if "://" in target:
            continue
        name, _, fragment = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), f"{page.name} links to {target}"
        if fragment:
            assert fragment in map(anchor, re.findall(r"^#+ (.*)$", text(file), re.MULTILINE)), f"no heading {target}"


def test_every_file_that_the_packages_page_names_exists() -> None:
    page = ROOT / "raytune_planes/README.md"
    developers = text(page).partition("## Architecture")[2]
    named = re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py|(?:[a-z_]+/)+)`", developers)
    assert len(named) > 30
    own = {f"{folder}/mine.py" for folder in ("datasets", "model", "tasks", "tracking")}  # the reader's
    missing = [n for n in named if n not in own and not any((base / n).exists() for base in (page.parent, ROOT))]
    assert not missing


def test_the_map_of_the_package_is_the_one_that_is_checked() -> None:
    developers = text(ROOT / "raytune_planes/README.md").partition("## Architecture")[2]
    levels: list[set[str]] = []
    for line in developers.partition("```text\n")[2].partition("```")[0].splitlines():
        if line[:2].strip():
            assert int(line[:2]) == len(levels) + 1
            levels.append(set())
        levels[-1].add(line[4:22].strip())
    assert levels == [set(names) for names in LEVELS]
    listed = set(
        re.findall(r"^\| ([a-z]+) \| `", developers.partition("| library |")[2].partition("\n\n")[0], re.MULTILINE)
    )
    assert listed == {name for name in HOMES if len(name) < 14}  # the two packages of weights have no row


@pytest.mark.parametrize("page", PAGES[:4], ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_can_be_pasted(page: Path) -> None:
    lines = [line.strip() for line in text(page).splitlines() if line.startswith("    ")]
    commands = [line.partition(PREFIX)[2] for line in lines if PREFIX in line]
    assert commands
    assert not [line for line in lines if line.startswith(("raytune-planes", "uv run", "pytest"))], "without the prefix"
    for command in commands:
        words = shlex.split(command.removeprefix("--frozen ").partition(" > ")[0], comments=True)
        if words[0] == "raytune-planes":
            args = make_parser().parse_args(words[1:])
            parse_assignments(getattr(args, "set", None) or [])


def test_the_settings_and_spaces_that_pages_name_exist() -> None:
    spaces = re.findall(r"^\| `([a-z_]+)` \|", text(PAGES[1]).partition("## Write one")[0], re.MULTILINE)
    assert sorted(spaces) == sorted(p.stem for p in PAGES[1].parent.glob("*.yaml"))
    for path in re.findall(r"^  ([a-z_.]+\.[a-z_]+): ", text(PAGES[1]), re.MULTILINE):
        assert path in defaults() or path == "val/planesnet/accuracy", path


def test_every_row_of_the_table_of_inputs_names_a_test_that_exists() -> None:
    rows = text(ROOT / "tests/README.md").partition("## Inputs that people have")[2].partition("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in rows.splitlines() if line[:1] == "|"][2:]
    assert len(cells) > 40
    for row in cells:
        assert len(row) == 4, row
        assert all(row), row
        file, _, name = row[3].strip("`").partition("::")
        assert f"\ndef {name}(" in text(ROOT / "tests" / file), f"no test {row[3]}"


def test_the_first_page_is_short_and_begins_with_the_two_commands() -> None:
    page = text(PAGES[0])
    assert len(page.split()) <= 700
    first, second = [line.strip() for line in page.splitlines() if line.startswith("    python3 -m pip")]
    assert first == "python3 -m pip install -q uv && python3 -m uv run --frozen raytune-planes tune"
    assert second == "python3 -m pip install -q uv && python3 -m uv run --frozen pytest -q -n 2"
    example = page.partition("```yaml\n")[2].partition("```")[0]
    assert "synthetic" in page
    assert len(re.findall(r"!\[[^\]]*\]\(\.github/images/[a-z]+\.(?:svg|png)\)", page)) == 3
    assert "when:" in example


def test_the_spaces_that_pages_show_are_valid(tmp_path: Path) -> None:
    for page in PAGES[:2]:
        blocks = [b for b in re.findall(r"```yaml\n(.*?)```", text(page), re.DOTALL) if "objectives" in b]
        assert blocks
        for block in blocks:
            path = tmp_path / "mine.yaml"
            path.write_text(block, encoding="utf-8")
            check(load_space(path))
