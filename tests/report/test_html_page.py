"""The page of a report without a browser: whole tables, labelled controls, and not one address."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.report import html_page, page
from raytune_planes.report.build import study_report
from raytune_planes.report.figure import Missing, Report, Section, Table, Trials
from raytune_planes.report.trials import trials_table
from tests.report.conftest import SPACE
from tests.report.test_search import study
from tests.tracking.studies import three_trials


class Node:
    """An element of a page."""

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name, self.attributes = name, attributes
        self.children: list[Node | str] = []

    def all(self, name: str = "", **attributes: str) -> Iterator[Node]:
        """Those below with this name and these attributes."""
        for child in self.children:
            if isinstance(child, Node):
                if name in ("", child.name) and all(child.attributes.get(k) == v for k, v in attributes.items()):
                    yield child
                yield from child.all(name, **attributes)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Parser(HTMLParser):
    """A tree that says what was left open or closed twice."""

    EMPTY = ("meta", "link", "img", "input")

    def __init__(self) -> None:
        super().__init__()
        self.root = Node("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        node = Node(tag, {name: value or "" for name, value in attrs})
        self.open[-1].children.append(node)
        if tag not in self.EMPTY:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def parsed(html: str) -> Node:
    parser = Parser()
    parser.feed(html)
    assert parser.open == [parser.root], "every element is closed"
    return parser.root


@pytest.fixture(scope="module")
def html(written: tuple[Path, ...]) -> str:
    return written[0].read_text()


@pytest.fixture(scope="module")
def root(html: str) -> Node:
    return parsed(html)


def data_of(root: Node) -> dict[str, Any]:
    (found,) = root.all("script", id="data")
    return dict(json.loads(found.text))


@pytest.mark.slow
@pytest.mark.parametrize("synthetic", [False, True])
def test_every_chart_of_synthetic_data_is_called_so_below_it(tmp_path: Path, synthetic: bool) -> None:
    report = study_report(study(*three_trials(), space=SPACE), Missing("too few trials"), Missing("left out"))
    root = parsed(page.write(replace(report, synthetic=synthetic), tmp_path)[0].read_text())
    charts = [figure for figure in root.all("figure") if [*figure.all("div")]]
    assert len(charts) >= 3
    assert {"[SYNTHETIC DATA]" in next(figure.all("figcaption")).text for figure in charts} == {synthetic}


@pytest.mark.slow
def test_no_address_is_named_and_the_policy_forbids_all_but_the_scripts_of_the_page(html: str, root: Node) -> None:
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    for node in root.all():
        for name in ("src", "href"):
            assert re.match(r"data:|#part\d+$", node.attributes.get(name, "data:")), node.attributes
    (policy,) = root.all("meta", **{"http-equiv": "Content-Security-Policy"})
    (script,) = root.all("script", id="ours")
    digest = base64.b64encode(hashlib.sha256(script.text.encode()).digest()).decode()
    assert policy.attributes["content"].startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}';" in policy.attributes["content"]
    assert [node.attributes["id"] for node in root.all("script")] == ["data", "ours"]
    assert not [node for node in root.all() if any(name.startswith("on") for name in node.attributes)]


@pytest.mark.slow
def test_every_control_has_a_name_and_what_it_controls_is_there(root: Node) -> None:
    ids = {node.attributes["id"] for node in root.all() if "id" in node.attributes}
    labelled = [control for label in root.all("label") for control in (*label.all("input"), *label.all("select"))]
    for control in (*root.all("input"), *root.all("select")):
        assert control in labelled
    for button in root.all("button"):
        assert (button.attributes.get("aria-label") or button.text).strip()
        assert button.attributes["type"] == "button"
        assert button.attributes.get("aria-controls", "trials") in ids
    assert all(image.attributes["alt"] for image in root.all("img"))
    assert all(svg.attributes["aria-label"] for svg in root.all("svg"))
    assert {link.attributes["href"][1:] for link in root.all("a")} <= ids


@pytest.mark.slow
def test_the_page_has_every_cell_of_the_table_of_trials_and_highlights_the_best(root: Node) -> None:
    wanted = trials_table(study(*three_trials(), space=SPACE))
    (table,) = root.all("table", id="sorted")
    heads = [*table.all("th", scope="col")]
    assert [head.text for head in heads] == [*wanted.header]
    assert {head.attributes["aria-sort"] for head in heads} == {"none"}
    rows = [[cell.text for cell in (*row.all("th"), *row.all("td"))] for row in table.all("tr")][1:]
    rows = [[row[0].removesuffix(" best"), *row[1:]] for row in rows]
    assert rows == [[*row] for row in wanted.rows]
    names = [cell.attributes["data-name"] for cell in next(table.all("tr", **{"data-trial": "0"})).all("td")]
    assert names == [*wanted.header[1:]], "on paper each cell has its name beside it"
    (best,) = table.all("tr", **{"class": "best"})
    assert best.attributes == {"data-trial": "3", "data-end": "converged", "class": "best"}
    folded = [i for i, head in enumerate(heads) if "more" in head.attributes.get("class", "")]
    assert folded == [*range(wanted.first_columns, len(wanted.header))]
    (select,) = root.all("select", id="end")
    assert [option.text for option in select.all("option")] == [
        "in any way",
        "completed (1)",
        "failed (1)",
        "pruned (1)",
        "converged (1)",
    ]


def test_objectives_and_floors_come_first_then_the_other_metrics_and_the_settings() -> None:
    found = trials_table(study(*three_trials(), space=SPACE))
    assert found.header == (
        "trial",
        "mean of fgvc/accuracy and hrplanes/iou",
        "fgvc accuracy (objective)",
        "hrplanes iou (objective)",
        "planesnet accuracy (floor 0.9)",
        "keeps floors",
        "end",
        "why",
        "best epoch",
        "epochs",
        "minutes",
        "hrplanes accuracy",
        "optim.lr",
        "datasets.fgvc.head.depth",
    )
    first = ("3", "0.5500", "0.5000", "0.6000", "0.9300", "yes", "converged", "all datasets rest")
    assert found.rows[3] == (*first, "2", "2", "0.1", "0.9000", "0.004", "2")
    assert (found.first_columns, found.best, found.ends[3]) == (8, 3, "converged")
    assert found.rows[0][-2:] == ("0.002", "1"), "the defaults draw nothing; their values are those of the settings"


@pytest.mark.slow
def test_the_charts_get_each_trial_with_its_settings_and_its_places_on_the_axes(root: Node) -> None:
    data = data_of(root)
    assert {box.attributes["data-name"] for box in root.all("div", **{"class": "chart"})} == {
        "history",
        "front",
        "parallel",
        "overfitting",
    }
    assert [axis["name"] for axis in data["parallel"]["axes"]] == [
        "optim.lr",
        "fgvc.head.depth",
        "fgvc/accuracy",
        "hrplanes/iou",
    ]
    trial = data["trials"][3]
    assert (trial["number"], trial["end"], trial["best"], trial["feasible"]) == (3, "converged", True, True)
    assert trial["settings"] == {"optim.lr": "0.004", "datasets.fgvc.head.depth": "2"}
    # The axis of the rate reaches to 0.9, which the failed trial had: ln(4) / ln(900).
    assert trial["heights"] == pytest.approx([0.203796, 2 / 3, 0.4 / 0.89, 1.0], abs=1e-6)
    assert data["history"] == {
        "kind": "history",
        "label": "mean of fgvc/accuracy and hrplanes/iou",
        "order": [0, 1, 2, 3],
        "best": pytest.approx([0.4, 0.4, 0.4, 0.55]),
    }
    assert data["front"]["panels"][1] == {
        "x": "fgvc accuracy",
        "y": "planesnet accuracy",
        "floors": [None, 0.9],
        "line": [],
    }


def test_what_a_name_holds_cannot_leave_the_data_of_the_script(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>\u2028\x1b"
    table = Trials(("trial", "end", name), (("0", "failed", name),), ends=("failed",), first_columns=2)
    report = Report("r", "", (Section("s", (), (table,), commands=[name]),), data={"trials": [{"reason": name}]})
    text = page.as_html(report, tmp_path)
    root = parsed(text)
    assert len([*root.all("script")]) == 2
    assert data_of(root)["trials"][0]["reason"] == name
    assert "\x1b" not in text


def test_rows_after_the_first_are_folded_and_all_are_there(tmp_path: Path) -> None:
    table = Table(("metric", "gain"), (("a", "+0.1000"), ("b", "-"), ("c", "-0.2000")), first_rows=1)
    root = parsed(page.as_html(Report("r", "", (Section("s", (), (table,)),)), tmp_path))
    rows = [*root.all("tr")][1:]
    assert [row.attributes.get("class") for row in rows] == [None, "more", "more"]
    assert [row.text for row in rows] == ["a+0.1000", "b-", "c-0.2000"]
    (button,) = root.all("button")
    assert (button.text, button.attributes["aria-expanded"]) == ("Show 2 other metrics", "false")
    assert [cell.attributes.get("class") for cell in rows[1].all("td")] == [None, "number"], "a dash among numbers"


def test_markdown_has_the_first_columns_and_says_where_the_others_are() -> None:
    found = trials_table(study(*three_trials(), space=SPACE))
    text = page.as_markdown(Report("r", "", (Section("s", (), (found,)),)))
    line = next(line for line in text.splitlines() if line.startswith("| 3 |"))
    assert line == "| 3 | 0.5500 | 0.5000 | 0.6000 | 0.9300 | yes | converged | all datasets rest |"
    assert "6 columns more, metrics and settings of each trial, in report.html." in text


def test_the_scripts_and_the_style_stay_small() -> None:
    sizes = [len(html_page._own(name).encode()) for name in html_page.SCRIPTS]
    assert sum(sizes) < 22_528, "what the first lines of html_page.py say"


def test_the_hash_of_the_scripts_holds_in_any_character_set() -> None:
    assert all(html_page._own(name).isascii() for name in html_page.SCRIPTS)
