"""The page of a report in a headless Chromium: no request, no error, and every control does what it says."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from raytune_planes.report import page
from raytune_planes.report.data_curve import Curve
from raytune_planes.report.figure import Figure, Report, Section
from raytune_planes.report.interactive import of_curve
from tests.report.browser import VARIABLE, Browser, program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(program() is None, reason=f"no Chromium on the PATH; name one in {VARIABLE}"),
]
SHOWN = "[...document.querySelectorAll('#sorted tbody tr')].filter(r => !r.hidden).map(r => +r.dataset.trial)"
BRIGHT = (
    "[...document.querySelectorAll('[data-name=history] [data-trial]:not(.out)')].map(p => +p.dataset.trial).sort()"
)
FRAMED = """
new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.sandbox = "allow-scripts";
  const bytes = Uint8Array.from(atob(%s), (each) => each.charCodeAt(0));
  frame.src = URL.createObjectURL(new Blob([bytes], { type: "text/html" }));
  frame.width = 700;
  frame.height = 600;
  frame.onload = () => done(true);
  document.body.append(frame);
})
"""
"""As MLflow shows an artifact: of no origin, with scripts and nothing else."""


@pytest.fixture(scope="module")
def url(written: tuple[Path, ...]) -> str:
    return written[0].as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    path = program()
    assert path is not None
    with Browser(path, tmp_path_factory.mktemp("browser")) as found:
        yield found


@pytest.fixture
def opened(browser: Browser, url: str) -> Iterator[Browser]:
    """The page at 1280 pixels; at the end it has asked for nothing but itself and complained of nothing."""
    browser.open(url, 1280)
    yield browser
    assert browser.requests == [url]
    assert browser.errors == []


@pytest.mark.parametrize("width", [390, 1280, 1600])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_as_wide_as_its_window(browser: Browser, url: str, width: int, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.call("Emulation.setEmulatedMedia", media="screen", features=features)
    browser.open(url, width)
    for button in range(browser.run("document.querySelectorAll('.unfold').length")):
        browser.run(f"document.querySelectorAll('.unfold')[{button}].click()")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    cut = browser.run(
        "[...document.querySelectorAll('h1, h2, p, figcaption, label, button')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline')"
        ".map(e => e.textContent)"
    )
    assert cut == []
    colour = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (colour == "rgb(255, 255, 255)") == (scheme == "light")
    assert browser.run("[...document.querySelectorAll('.chart svg')].every(s => s.querySelector('[data-trial], rect'))")
    assert (browser.requests, browser.errors) == ([url], [])
    browser.call("Emulation.setEmulatedMedia", media="", features=[])


def test_a_column_sorts_by_click_and_by_key_and_what_is_unknown_stays_last(opened: Browser) -> None:
    column = "#sorted thead th:nth-child(3)"
    assert opened.run(SHOWN) == [3, 0, 1, 2], "the best is the first until the table is sorted"
    opened.click(f"{column} button")
    assert opened.run(SHOWN) == [2, 3, 0, 1]
    assert opened.run(f"document.querySelector('{column}').ariaSort") == "descending"
    opened.run(f"document.querySelector('{column} button').focus()")
    opened.press("Enter")
    assert opened.run(SHOWN) == [1, 0, 3, 2]
    assert opened.run("[...document.querySelectorAll('#sorted th[aria-sort=ascending]')].length") == 1
    opened.click("#trials .unfold")
    depth = opened.run("document.querySelector('#sorted thead tr').cells.length")
    opened.click(f"#sorted thead th:nth-child({depth}) button")
    assert opened.run(SHOWN) == [3, 0, 1, 2]
    opened.click(f"#sorted thead th:nth-child({depth}) button")
    assert opened.run(SHOWN) == [0, 3, 1, 2], "trials that did not draw the depth are last in either direction"


def test_the_filter_shows_trials_by_words_and_by_end_and_the_charts_follow(opened: Browser) -> None:
    def write(words: str) -> None:
        opened.run("document.getElementById('words').focus(); document.getElementById('words').select()")
        opened.call("Input.insertText", text=words)

    write("0.004 rest")
    assert opened.run(SHOWN) == opened.run(BRIGHT) == [3]
    assert opened.run("document.getElementById('count').textContent") == "1 of 4 trials"
    opened.click("#reset")
    assert opened.run(SHOWN) == [3, 0, 1, 2]
    opened.run("const e = document.getElementById('end'); e.value = 'pruned'; e.dispatchEvent(new Event('input'))")
    assert opened.run(SHOWN) == opened.run(BRIGHT) == [2]


def test_why_a_trial_ended_is_read_without_scrolling_sideways(opened: Browser) -> None:
    long = "cell.textContent = 'after epoch 2: place 3 of 4 at 2,560 samples; '.repeat(4)"
    box = "(() => { const box = document.querySelector('#trials .wide')"
    cell = "const cell = box.querySelector('td[data-name=why]')"
    assert opened.run(f"{box}; {cell}; {long}; return box.scrollWidth - box.clientWidth; }})()") == 0


def test_an_axis_of_the_parallel_coordinates_chooses_trials_by_drag_and_by_key(opened: Browser) -> None:
    opened.run("document.querySelector('[data-name=parallel]').scrollIntoView({block: 'center'})")
    x, top, bottom = opened.run(
        "(() => { const b = document.querySelectorAll('.brush')[2].getBoundingClientRect();"
        "return [b.x + b.width / 2, b.top, b.bottom]; })()"
    )
    half = (top + bottom) / 2
    for kind, y in (("mousePressed", half), ("mouseMoved", top + 60), ("mouseMoved", top), ("mouseReleased", top)):
        opened.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)
    opened.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")  # moves wait for one
    assert opened.run(SHOWN) == opened.run(BRIGHT) == [2], "the accuracy of fgvc is in the upper half of its axis"
    now = opened.run("document.querySelectorAll('.brush')[2].getBoundingClientRect().top")
    assert now == pytest.approx(top, abs=0.1), "it stays in place; heights of text are no whole pixels"
    opened.run("document.querySelectorAll('.brush')[2].focus()")
    opened.press("Escape")
    assert opened.run(SHOWN) == [3, 0, 1, 2]
    for _ in range(5):
        opened.press("ArrowUp")
    assert opened.run(SHOWN) == [2]
    text = opened.run("document.querySelectorAll('.brush')[2].getAttribute('aria-valuetext')")
    assert text == "0.545 to 0.99"


def test_a_mark_tells_its_trial_and_settings_under_the_pointer_and_with_the_focus(opened: Browser) -> None:
    told = "document.getElementById('tip').hidden ? '' : document.getElementById('tip').textContent"
    opened.click("[data-name=front] .point[data-trial='3']")
    expected = (
        "Trial 3, best: converged\nfgvc accuracy  0.5000\nhrplanes iou  0.6000\nplanesnet accuracy  0.9300\n\n"
        "optim.lr  0.004\ndatasets.fgvc.head.depth  2"
    )
    assert opened.run(told) == expected
    assert opened.run("document.querySelector('#sorted tr.on').dataset.trial") == "3"
    opened.run("document.querySelector('[data-name=history] [tabindex=\"0\"]').focus()")
    assert opened.run(told).startswith("Trial 0: completed\n")
    opened.press("ArrowRight")
    assert opened.run(told).startswith("Trial 1: failed\n")
    opened.press("Escape")
    assert opened.run(told) == ""


def test_an_epoch_tells_training_validation_and_gap(opened: Browser) -> None:
    opened.run("document.querySelector('[data-name=overfitting] .column').focus()")
    text = opened.run("document.getElementById('tip').textContent")
    assert text == "fgvc accuracy, epoch 1\ntraining  0.3000\nvalidation  0.2000\ngap  +0.1000"


def test_a_command_is_copied(opened: Browser, url: str) -> None:
    opened.call("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    opened.click(".copy")
    assert opened.run("new Promise((done) => setTimeout(done, 50)).then(() => navigator.clipboard.readText())") == (
        opened.run("document.querySelector('pre').textContent")
    )
    assert opened.run("document.querySelector('.copy').textContent") == "Copied"


def test_without_a_clipboard_the_command_is_copied_by_the_older_way(opened: Browser) -> None:
    opened.run("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    opened.click(".copy")
    assert opened.run("document.querySelector('.copy').textContent") == "Copied"
    assert opened.run("getSelection().toString()") == opened.run("document.querySelector('pre').textContent")


def in_frame(browser: Browser, frame: str, selector: str) -> None:
    """Click with the mouse what ``selector`` finds in the only frame."""
    where = (
        f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.scrollIntoView({{block: 'center'}}); "
        "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    at = "(() => { const b = document.querySelector('iframe').getBoundingClientRect(); return [b.x, b.y]; })()"
    (x, y), (left, top) = browser.run(where, frame), browser.run(at)
    for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=left + x, y=top + y, button="left", clickCount=1)


def test_in_the_frame_of_mlflow_the_page_works_and_its_links_move_within_it(browser: Browser, url: str) -> None:
    held = base64.b64encode(Path(url.removeprefix("file://")).read_bytes()).decode()
    browser.open("about:blank", 800)
    assert browser.run(FRAMED % json.dumps(held))
    frame = browser.frame()
    assert browser.run("document.documentElement.className", frame) == "js"
    assert browser.run("document.querySelectorAll('.point').length", frame) > 0
    browser.run("document.querySelectorAll('nav a')[1].click()", frame)
    top = browser.run("document.querySelector('#part1 h2').getBoundingClientRect().top", frame)
    assert -1 < top < 3
    assert browser.run("document.querySelectorAll('h1').length", frame) == 1, "it went nowhere else"
    assert browser.run(SHOWN, frame) == [3, 0, 1, 2]
    in_frame(browser, frame, "#sorted thead th:nth-child(3) button")
    assert browser.run(SHOWN, frame) == [2, 3, 0, 1], "a click sorts"
    in_frame(browser, frame, "#words")
    browser.call("Input.insertText", text="0.004 rest")
    assert browser.run(SHOWN, frame) == [3], "words filter"
    in_frame(browser, frame, ".copy")
    said = "new Promise((done) => setTimeout(() => done(document.querySelector('.copy').textContent), 300))"
    assert browser.run(said, frame) in ("Copied", "Press Ctrl+C")
    assert browser.errors == []


def test_on_paper_all_is_unfolded_and_pictures_stand_in_the_place_of_charts(opened: Browser) -> None:
    opened.run("const e = document.getElementById('end'); e.value = 'pruned'; e.dispatchEvent(new Event('input'))")
    opened.call("Emulation.setEmulatedMedia", media="print", features=[])
    seen = "(s) => [...document.querySelectorAll(s)].filter(e => e.getClientRects().length).length"
    assert opened.run(f"({seen})('.controls, .unfold, .copy, .chart, #tip')") == 0
    assert opened.run(f"({seen})('#sorted tbody tr')") == 4
    assert opened.run(f"({seen})('#sorted tbody td')") == opened.run("document.querySelectorAll('#sorted td').length")
    before = opened.run("getComputedStyle(document.querySelector('#sorted tbody td:nth-child(3)'), '::before').content")
    assert before.startswith('"fgvc accuracy (objective)'), "cells are named where the head is not"
    assert opened.run(f"({seen})('figure img')") == opened.run("document.querySelectorAll('figure').length")
    opened.call("Emulation.setEmulatedMedia", media="", features=[])


def test_a_data_curve_tells_pictures_value_and_interval_of_each_share(browser: Browser, tmp_path: Path) -> None:
    from tests.report.test_data_curve import panel

    curve = Curve((0.25, 0.5, 1.0), ("¼", "½", "all"), (panel(0.3, 0.4, 0.6), panel(0.3, float("nan"), 0.6)))
    figure = Figure("data-curve", "Validation by share", "How.", curve)
    report = Report(
        "Study", "", (Section("More", figures=[figure]),), data={"trials": [], "data-curve": of_curve(curve)}
    )
    url = page.write(report, tmp_path)[0].as_uri()
    browser.open(url, 390)
    assert browser.run("document.querySelectorAll('[data-name=data-curve] circle').length") == 5
    browser.run("document.querySelector('[data-name=data-curve] circle').focus()")
    browser.press("ArrowRight")
    told = "fgvc top accuracy\n½: 200 training pictures\nvalidation  0.4000 [0.3532, 0.4487]"
    assert browser.run("document.querySelector('#tip').textContent") == told
    assert browser.run("document.documentElement.scrollWidth") <= 390
    assert (browser.requests, browser.errors) == ([url], [])
