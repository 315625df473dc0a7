"""A report as files: every figure as PNG and SVG, ``report.md``, and ``report.html`` that needs nothing beside it."""

from __future__ import annotations

from pathlib import Path
from textwrap import indent

from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable
from raytune_planes.report.drawing import NOTE, save
from raytune_planes.report.figure import Missing, Report, Table, Trials
from raytune_planes.report.html_page import SYNTHETIC, as_html, sentence
from raytune_planes.tracking.files import write_whole

PAGE, TEXT = "report.html", "report.md"


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
                lines += [f"*{_words(f.title)}: missing. {_words(sentence(f.numbers.why))}*", ""]
            else:
                lines += [f"![{_words(f.title)}]({f.name}.png)", "", f"**{_words(f.title)}.** {_words(f.caption)}", ""]
    return "\n".join(lines)


def _markdown_table(table: Table) -> list[str]:
    columns = table.first_columns if isinstance(table, Trials) else len(table.header)
    rows = [table.header[:columns], ("---",) * columns, *(row[:columns] for row in table.rows)]
    lines = ["| " + " | ".join(_words(printable(cell)).replace("|", "\\|") for cell in row) + " |" for row in rows]
    more = f"{counted(len(table.header) - columns, 'column')} more, metrics and settings of each trial, in {PAGE}."
    return [*lines, "", more] if columns < len(table.header) else lines


def _words(text: str) -> str:
    """For markdown: what a name holds is shown as it is, not taken for HTML or a link."""
    return printable(text, lines=True).replace("<", "&lt;").replace("](", "]\\(")
