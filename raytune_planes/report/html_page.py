"""A report as one page of HTML that asks nothing of any other place, and says so to the browser.

Beside its text the page holds ``page.css`` and the scripts of ``SCRIPTS``, 22 KB together. No library: vega with
vega-lite would add about 0.8 MB to each report and plotly 4.5 MB, to draw four charts of some hundred points, and
neither has a table that sorts, filters and dims their marks. A policy in the head forbids every request and every
script but these, whose hash it names. Without scripts, and on paper, the page has every row and column, and pictures in
the place of the charts.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Sequence
from html import escape as as_plain_html
from importlib.resources import files
from pathlib import Path

from raytune_planes.printing import counted, printable
from raytune_planes.report.drawing import NOTE
from raytune_planes.report.drawing.style import ENDS
from raytune_planes.report.figure import Figure, Missing, Report, Section, Table, Trials

SYNTHETIC = (
    "The data is synthetic: drawn by this program. The figures say how the search works, not how well planes are found."
)
SCRIPTS = ("page.js", "parallel.js", "charts.js")
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; "
    "form-action 'none'"
)
END = "end"
"""The column of a table of trials that says how they ended."""
CHARTS = {
    "history": "Every trial in the order of its end, and the best value so far",
    "front": "Objectives and floors of every trial against each other",
    "parallel": "Settings and objectives of every trial; drag along an axis to choose trials",
    "gaps": "Training and validation of each dataset over the epochs",
    "shares": "Validation of each dataset over the share of its training pictures",
}
"""What a chart in the place of a picture is called to who cannot see it, by its kind."""


def as_html(report: Report, folder: Path) -> str:
    """The report as one page; ``folder`` holds the SVG files that it takes in. No address outside of it is named."""
    body = [f"<h1>{escape(report.title)}</h1>", f'<p class="lead">{escape(report.lead)}</p>']
    if report.synthetic:
        body.append(f'<p class="synthetic"><strong>{NOTE}.</strong> {SYNTHETIC}</p>')
    links = "".join(f'<a href="#part{i}">{escape(s.heading)}</a> ' for i, s in enumerate(report.sections))
    body.append(f'<nav aria-label="Parts of the report">{links}</nav>')
    for i, section in enumerate(report.sections):
        body += [f'<section id="part{i}">', *_section(section, i, report, folder), "</section>"]
    script = "".join(map(_own, SCRIPTS))
    ends = "".join(f".end-{end} {{ --end: {colour}; }}\n" for end, (colour, _) in ENDS.items())
    policy = POLICY.format(base64.b64encode(hashlib.sha256(script.encode()).digest()).decode())
    data = json.dumps(report.data, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(report.title)}</title>\n<style>\n{_own('page.css')}{ends}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + '\n<div id="tip" role="tooltip" hidden></div>\n'
        + f'<script type="application/json" id="data">{data}</script>\n<script id="ours">{script}</script>\n'
        + "</body>\n</html>\n"
    )


def escape(text: str) -> str:
    """For HTML."""
    return as_plain_html(printable(text, lines=True))


def sentence(why: str) -> str:
    """With a capital letter and a full stop."""
    return why[:1].upper() + why[1:] + ("" if why.endswith(".") else ".")


def _own(name: str) -> str:
    return files("raytune_planes.report").joinpath(name).read_text(encoding="utf-8")


def _section(section: Section, place: int, report: Report, folder: Path) -> Iterator[str]:
    yield f'<h2 tabindex="-1">{escape(section.heading)}</h2>'
    yield from (f"<p>{escape(text)}</p>" for text in section.text)
    for i, table in enumerate(section.tables):
        yield _trials(table) if isinstance(table, Trials) else _table(table, f"table{place}-{i}")
    for command in section.commands:
        name = escape(f"Copy {command.splitlines()[0]}")
        copy = f'<button type="button" class="copy" aria-label="{name}">Copy</button>'
        yield f'<div class="command"><pre tabindex="0">{escape(command)}</pre>{copy}</div>'
    for f in section.figures:
        if isinstance(f.numbers, Missing):
            why = escape(sentence(f.numbers.why))
            yield f'<p class="missing"><strong>{escape(f.title)}</strong>: missing. {why}</p>'
    shown = [f for f in section.figures if not isinstance(f.numbers, Missing)]
    if shown:
        yield f'<div class="figures{" one" if len(shown) == 1 else ""}">'
        # Those across all columns come first: between others they would leave a hole above.
        shown.sort(key=lambda f: not _is_whole(f, report))
        yield from (_figure(f, report, folder) for f in shown)
        yield "</div>"


def _figure(figure: Figure, report: Report, folder: Path) -> str:
    # As an image of its own: two SVGs inside one page would share their ids.
    svg = base64.b64encode((folder / f"{figure.name}.svg").read_bytes()).decode()
    drawn = report.data.get(figure.name)
    # Pictures say it in their titles; a chart takes their place.
    named = f"{figure.title} [{NOTE}]" if drawn and report.synthetic else figure.title
    caption = f"<strong>{escape(named)}.</strong> {escape(figure.caption)}"
    picture = f'<img alt="{escape(figure.title)}" src="data:image/svg+xml;base64,{svg}">'
    if drawn:
        name = f'role="group" aria-label="{CHARTS[drawn["kind"]]}"'
        picture += f'<div class="chart" data-name="{figure.name}"><svg {name}></svg></div>'
    whole = ' class="whole"' if _is_whole(figure, report) else ""
    return f"<figure{whole}>{picture}<figcaption>{caption}</figcaption></figure>"


def _is_whole(figure: Figure, report: Report) -> bool:
    return bool(report.data.get(figure.name, {}).get("kind") == "parallel")


def _table(table: Table, name: str) -> str:
    first = len(table.rows) if table.first_rows is None else table.first_rows
    numbers = _numbers(table)
    head = "".join(_tag("th", cell, i in numbers, extra=' scope="col"') for i, cell in enumerate(table.header))
    rows = []
    for i, row in enumerate(table.rows):
        cells = "".join(_tag("td", cell, j in numbers) for j, cell in enumerate(row))
        rows.append(f"<tr{' class=more' if i >= first else ''}>{cells}</tr>")
    more = _unfolds(name, counted(len(table.rows) - first, "other metric")) if first < len(table.rows) else ""
    whole = _box(f"<table>{_parts(head, rows)}</table>", f"Table: {table.header[0]}")
    return f'<div class="fold folded" id="{name}">{whole}{more}</div>'


def _trials(table: Trials) -> str:
    """With controls, which a page without scripts does not show."""
    numbers, folded = _numbers(table), range(table.first_columns, len(table.header))
    head = "".join(
        _tag("th", cell, i in numbers, i in folded, ' scope="col" aria-sort="none"', inside="button")
        for i, cell in enumerate(table.header)
    )
    rows, heads = [], [escape(name) for name in table.header]
    for row, end in zip(table.rows, table.ends, strict=True):
        best = table.best is not None and row[0] == str(table.best)
        cells = f'<th scope="row">{row[0]}{" <span class=mark>best</span>" if best else ""}</th>'
        for i, cell in enumerate(row[1:], start=1):
            kind = f"end end-{cell}" if table.header[i] == END else ""
            cells += _tag("td", cell, i in numbers, i in folded, f' data-name="{heads[i]}"', kind=kind)
        rows.append(f'<tr data-trial="{row[0]}" data-end="{escape(end)}"{" class=best" if best else ""}>{cells}</tr>')
    ends = {end: table.ends.count(end) for end in dict.fromkeys(table.ends)}
    options = "".join(f'<option value="{escape(end)}">{escape(end)} ({n})</option>' for end, n in ends.items())
    controls = (
        '<div class="controls"><label>Filter <input type="search" id="words" autocomplete="off" '
        'placeholder="settings, values, reasons"></label><label>Ended <select id="end" autocomplete="off">'
        f'<option value="">in any way</option>{options}</select></label>'
        f'<button type="button" id="reset">Show all</button>{_unfolds("trials", counted(len(folded), "more column"))}'
        f'<output id="count" for="words end">{counted(len(table.rows), "trial")}</output></div>'
    )
    whole = _box(f'<table id="sorted">{_parts(head, rows)}</table>', "Table of trials")
    return f'<div class="fold folded" id="trials">{controls}{whole}</div>'


def _unfolds(name: str, what: str) -> str:
    return f'<button type="button" class="unfold" aria-expanded="false" aria-controls="{name}">Show {what}</button>'


def _box(table: str, name: str) -> str:
    """It scrolls by itself, also with the keyboard, so that the page does not."""
    return f'<div class="wide" role="region" aria-label="{name}" tabindex="0">{table}</div>'


def _parts(head: str, rows: Sequence[str]) -> str:
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _tag(
    name: str, cell: str, number: bool, more: bool = False, extra: str = "", *, kind: str = "", inside: str = ""
) -> str:
    """A cell; ``inside`` is what its text stands in."""
    kinds = " ".join(filter(None, [kind, "number" if number else "", "more" if more else ""]))
    text = f'<{inside} type="button">{escape(cell)}</{inside}>' if inside else escape(cell)
    named = f' class="{escape(kinds)}"' if kinds else ""
    return f"<{name}{named}{extra}>{text}</{name}>"


def _numbers(table: Table) -> set[int]:
    """The columns of numbers, a dash for those that are missing."""
    columns = enumerate(zip(*table.rows, strict=True))
    return {i for i, cells in columns if any(map(_is_number, cells)) and all(c == "-" or _is_number(c) for c in cells)}


def _is_number(cell: str) -> bool:
    return cell.lstrip("+-").split(" ")[0].replace(".", "", 1).replace(",", "").isdigit()
