"""A report as files: every figure as PNG and SVG, ``report.md``, and ``report.html`` that needs nothing beside it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from html import escape as as_plain_html
from pathlib import Path
from textwrap import indent

from raytune_planes.errors import UserError
from raytune_planes.printing import printable
from raytune_planes.report.drawing import NOTE, save
from raytune_planes.report.figure import Figure, Missing, Report, Section, Table
from raytune_planes.tracking.files import write_whole

PAGE, TEXT = "report.html", "report.md"
SYNTHETIC = (
    "The data is synthetic: drawn by this program. The figures say how the search works, not how well planes are found."
)
STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; color: #222; background: #fff; margin: 0 auto;
  max-width: 76rem; padding: 1.5rem; }
h1 { font-size: 1.7rem; margin: 0 0 .5rem; } h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-top: .5rem;
  border-top: 2px solid #e4e4e4; }
nav a { margin-right: 1rem; } a { color: #0072B2; }
p { max-width: 50rem; margin: .5rem 0; }
.lead { font-size: 1.1rem; } .synthetic { background: #fdf1dc; border-left: 5px solid #E69F00; padding: .5rem 1rem; }
.missing { background: #f3f3f3; border-left: 5px solid #9a9a9a; padding: .5rem 1rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1.5rem;
  align-items: start; }
figure { margin: 0; } figure img { width: 100%; height: auto; } figcaption { font-size: .9rem; color: #444; }
.wide { overflow-x: auto; } table { border-collapse: collapse; margin: .75rem 0; font-size: .92rem; }
th, td { padding: .25rem .9rem .25rem 0; text-align: left; border-bottom: 1px solid #e4e4e4; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
pre { background: #f3f3f3; padding: .6rem 1rem; overflow-x: auto; }
"""


def write(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write everything into ``folder``, which is made when absent; returns the paths, the page first.

    Raises:
        UserError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        figures = [f for section in report.sections for f in section.figures]
        drawn = [path for f in figures for path in save(f, folder, synthetic=report.synthetic)]
        write_whole(folder / TEXT, as_markdown(report))
        write_whole(folder / PAGE, as_html(report, folder))
    except OSError as error:
        raise UserError(f"the report cannot be written to {folder}: {error}; choose another folder with --to") from None
    return folder / PAGE, folder / TEXT, *drawn


def as_markdown(report: Report) -> str:
    """The report with links to the PNG files beside it."""
    lines = [f"# {_words(report.title)}", "", _words(report.lead), ""]
    if report.synthetic:
        lines += [f"**{NOTE}.** {SYNTHETIC}", ""]
    for section in report.sections:
        lines += [f"## {_words(section.heading)}", ""]
        lines += [line for text in section.text for line in (_words(text), "")]
        for table in section.tables:
            lines += [*_markdown_table(table), ""]
        lines += [line for command in section.commands for line in (indent(printable(command, lines=True), "    "), "")]
        for f in section.figures:
            if isinstance(f.numbers, Missing):
                lines += [f"*{_words(f.title)}: missing. {_words(_sentence(f.numbers.why))}*", ""]
            else:
                lines += [f"![{_words(f.title)}]({f.name}.png)", "", f"**{_words(f.title)}.** {_words(f.caption)}", ""]
    return "\n".join(lines)


def as_html(report: Report, folder: Path) -> str:
    """The report as one page; ``folder`` holds the SVG files that it takes in. No address outside of it is named."""
    body = [f"<h1>{escape(report.title)}</h1>", f'<p class="lead">{escape(report.lead)}</p>']
    if report.synthetic:
        body.append(f'<p class="synthetic"><strong>{NOTE}.</strong> {SYNTHETIC}</p>')
    links = "".join(f'<a href="#part{i}">{escape(s.heading)}</a> ' for i, s in enumerate(report.sections))
    body.append(f"<nav>{links}</nav>")
    for i, section in enumerate(report.sections):
        body += [f'<section id="part{i}">', *_html_section(section, folder), "</section>"]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<link rel="icon" href="data:,">\n'
        f"<title>{escape(report.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def _html_section(section: Section, folder: Path) -> Iterator[str]:
    yield f"<h2>{escape(section.heading)}</h2>"
    yield from (f"<p>{escape(text)}</p>" for text in section.text)
    yield from (_html_table(table) for table in section.tables)
    yield from (f"<pre>{escape(command)}</pre>" for command in section.commands)
    for f in section.figures:
        if isinstance(f.numbers, Missing):
            why = escape(_sentence(f.numbers.why))
            yield f'<p class="missing"><strong>{escape(f.title)}</strong>: missing. {why}</p>'
    shown = [_html_figure(f, folder) for f in section.figures if not isinstance(f.numbers, Missing)]
    if shown:
        yield '<div class="figures">' + "\n".join(shown) + "</div>"


def _html_figure(figure: Figure, folder: Path) -> str:
    # As an image of its own: two SVGs inside one page would share their ids.
    svg = base64.b64encode((folder / f"{figure.name}.svg").read_bytes()).decode()
    caption = f"<strong>{escape(figure.title)}.</strong> {escape(figure.caption)}"
    source = f"data:image/svg+xml;base64,{svg}"
    return f'<figure><img alt="{escape(figure.title)}" src="{source}"><figcaption>{caption}</figcaption></figure>'


def _html_table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    rows = "".join(f"<tr>{''.join(_html_cell(cell) for cell in row)}</tr>" for row in table.rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _html_cell(cell: str) -> str:
    first = cell.lstrip("+-").split(" ")[0]
    number = first.replace(".", "", 1).replace(",", "").isdigit()
    return f'<td class="number">{escape(cell)}</td>' if number else f"<td>{escape(cell)}</td>"


def _markdown_table(table: Table) -> list[str]:
    rows = [table.header, ("---",) * len(table.header), *table.rows]
    return ["| " + " | ".join(_words(printable(cell)).replace("|", "\\|") for cell in row) + " |" for row in rows]


def escape(text: str) -> str:
    """For HTML."""
    return as_plain_html(printable(text, lines=True))


def _words(text: str) -> str:
    """For markdown: what a name holds is shown as it is, not taken for HTML or a link."""
    return printable(text, lines=True).replace("<", "&lt;").replace("](", "]\\(")


def _sentence(why: str) -> str:
    return why[:1].upper() + why[1:] + ("" if why.endswith(".") else ".")
