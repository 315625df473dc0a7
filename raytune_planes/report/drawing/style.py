"""One style for all figures: colours for colour-blind readers, text that is readable at half width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from raytune_planes.catalog import CATALOG
from raytune_planes.records import End

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 6.4
"""Inches; with letters of 12 points, half of it still reads."""
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito 2008."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
INK, FAINT, BEST = "#222222", "#9a9a9a", "#D55E00"
TITLE: Mapping[str, Any] = {"fontsize": 13, "weight": "bold"}
"""Of a whole figure."""
ENDS: Mapping[End, tuple[str, str]] = {
    End.COMPLETED: ("#0072B2", "o"),
    End.CONVERGED: ("#009E73", "o"),
    End.PRUNED: ("#E69F00", "v"),
    End.FAILED: ("#D55E00", "X"),
    End.INTERRUPTED: ("#9a9a9a", "s"),
    End.PAUSED: ("#56B4E9", "D"),
    End.RUNNING: ("#56B4E9", ">"),
}
"""Colour and marker by how a trial ended."""
LOOK: Mapping[str, Any] = {
    "font.size": 12,
    "text.parse_math": False,  # the name of a class may hold a $
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 12,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "lines.linewidth": 2.0,
    "savefig.dpi": 150,
    "svg.hashsalt": "raytune-planes",
}


def colour(dataset: str) -> str:
    """The same in every figure: by the dataset's place in the catalog; those of the user's own come after, by name."""
    return PALETTE[_place(dataset) % len(PALETTE)]


def marker(dataset: str) -> str:
    return MARKERS[_place(dataset) % len(MARKERS)]


def canvas(height: float = 4.2, columns: int = 1, rows: int = 1, **more: Any) -> tuple[Figure, Any]:
    """A figure of the one width with its axes, drawn without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.09, h_pad=0.06)  # type: ignore[union-attr,call-arg]
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, **more)


def title(text: str) -> str:
    """``text`` in lines that fit into a figure's width, however wide its letters are; drawn as ``TITLE`` says."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    font = FontProperties(size=TITLE["fontsize"], weight=TITLE["weight"])
    for letters in range(62, 10, -3):
        lines = textwrap.wrap(text, letters)
        if all(TextPath((0, 0), line, prop=font).get_extents().width < 0.97 * 72 * WIDTH for line in lines):
            break
    return "\n".join(lines)


def percent(axes: Axes, which: str = "y") -> None:
    """Shares in [0, 1] read as per cent."""
    for letter in which:
        getattr(axes, f"{letter}axis").set_major_formatter(lambda value, _: f"{100 * value:.4g}%")


def short(path: str, longest: int = 26) -> str:
    """A dotted path without what every reader knows, its middle cut when it is long."""
    text = path.removeprefix("datasets.")
    return text if len(text) <= longest else f"{text[: longest // 2 - 1]}…{text[-(longest // 2) :]}"


def cut(text: str, longest: int = 16) -> str:
    """Its beginning, where it is long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def metric_name(key: str) -> str:
    """``val/fgvc/accuracy`` -> ``fgvc accuracy``."""
    return key.removeprefix("val/").replace("/", " ").replace("_", " ")


def key_below(figure: Figure, axes: Axes, columns: int = 3) -> None:
    """The legend under the axes, where it hides nothing."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        figure.legend(unique.values(), unique.keys(), loc="outside lower center", ncols=columns)


def ends_key(axes: Axes, ends: Iterable[End]) -> None:
    """Entries of the legend for the ends that occur."""
    for end in (e for e in ENDS if e in set(ends)):
        axes.scatter([], [], color=ENDS[end][0], marker=ENDS[end][1], s=45, label=str(end))


def _place(dataset: str) -> int:
    names = list(CATALOG)
    return names.index(dataset) if dataset in names else len(names) + sum(map(ord, dataset)) % 4
