"""The view of a study in a terminal: a table that is drawn anew while it runs. The only home of rich."""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Mapping
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.file_proxy import FileProxy
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raytune_planes.printing import counted, printable, safe, unguarded
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.terminal.alone import Alone, loss_text
from raytune_planes.terminal.board import (
    Board,
    Outline,
    card_in_short,
    card_of,
    clock,
    place_of,
    score_text,
    short_name,
)
from raytune_planes.terminal.remaining import STARTING, UNKNOWN, span

MARKS: Mapping[End, str] = {
    End.RUNNING: "cyan",
    End.CONVERGED: "green",
    End.COMPLETED: "green",
    End.PRUNED: "yellow",
    End.FAILED: "red",
    End.INTERRUPTED: "magenta",
    End.PAUSED: "blue",
}
"""End -> colour."""
WIDE = 100
"""Columns of a terminal from which the number of images is shown, and a column for figures of GPUs; in fewer the rest
would be cut, and figures of a GPU are a line below the table."""


class LiveView:
    """A table that is drawn anew twice a second: one row per trial, the newest below, and the last decisions."""

    def __init__(self, stream: TextIO) -> None:
        self._console = Console(file=unguarded(stream))  # all that goes to it from here is made printable here
        self._board: Board | None = None
        self._live: Live | None = None
        self._lines: deque[str] = deque(maxlen=5)
        self._lock = threading.Lock()  # the table is drawn by a thread of rich

    def start(self, outline: Outline) -> None:
        self._board = Board(outline)
        self._console.print(Text.assemble((f"study {outline.name}", "bold"), f"  {printable(outline.about)}"))
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=2, transient=False)
        self._live.start()
        if isinstance(sys.stdout, FileProxy):  # rich's own, until it puts ours back
            sys.stdout, sys.stderr = safe(sys.stdout), safe(sys.stderr)

    def trial_started(self, trial: TrialRecord) -> None:
        self._take(trial)

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        assert self._board is not None, "start comes first"
        card = card_of(epoch) if self._console.width < WIDE else ""
        lines = [f"trial {trial.number}: {card}"] if card else []
        self._take(trial, *lines, *self._board.news(trial, epoch))

    def trial_ended(self, trial: TrialRecord) -> None:
        is_shown = trial.end in (End.PRUNED, End.FAILED, End.INTERRUPTED, End.PAUSED)
        self._take(trial, *([f"trial {trial.number} {trial.end}: {trial.reason}"] if is_shown else []))

    def goal(self, goal: Goal) -> None:
        assert self._board is not None, "start comes first"
        with self._lock:
            self._board.take_goal(goal)

    def alone_began(self, alone: Alone) -> None:
        assert self._board is not None, "start comes first"
        with self._lock:
            self._board.alone[alone.dataset] = alone

    def alone_ended(self, dataset: str, text: str, metrics: Mapping[str, float] | None) -> None:
        assert self._board is not None, "start comes first"
        with self._lock:
            self._board.alone.pop(dataset, None)
        self.note(text)

    def tick(self) -> None:
        """Nothing: the table is drawn anew all the time."""

    def note(self, text: str) -> None:
        self._console.print(printable(text, lines=True), highlight=False, markup=False)

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def lost(self, text: str, status: int) -> None:
        print(text, file=sys.stderr, flush=True)

    def _take(self, trial: TrialRecord, *lines: str) -> None:
        assert self._board is not None, "start comes first"
        with self._lock:
            self._board.take(trial)
            self._lines.extend(lines)

    def _draw(self) -> RenderableType:
        assert self._board is not None
        with self._lock:
            table, lines = self._table(self._board), [Text(printable(line), "dim") for line in self._lines]
            board = self._board
            left = board.remaining()
            foot = f"{board.ended} of {counted(board.outline.trials, 'trial')}   {clock(board.elapsed_s)} elapsed"
            unknown = "" if board.ended else f"   {UNKNOWN if board.trials else STARTING}"
            foot += f"   {span(*left)} to go" if left else unknown
            floors = ", ! below a floor" if board.outline.goal.floors else ""
        foot += f"   (* best so far, z at rest{floors}; of a trial that ended, figures of its best epoch)"
        return Group(table, *lines, Text(foot, "bold"))

    def _table(self, board: Board) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("trial", "", "epoch"):
            table.add_column(name, justify="left" if name == "" else "right")
        for name, key in board.outline.primary.items():
            table.add_column(f"{name}\n{short_name(key)}", justify="right")
        is_wide = self._console.width >= WIDE
        for name in ("score", "images", "time") if is_wide else ("score", "time"):
            table.add_column(name, justify="right")
        best = board.best()
        shown = self._shown(board, best)
        cards = [card_in_short(trial) if is_wide else "" for trial in shown]
        if any(cards):
            table.add_column("GPU\nimages/s, memory, busy", justify="right")
        if board.outline.has_places:
            table.add_column("where")
        if len(shown) < len(board.trials):
            table.caption = f"{len(board.trials) - len(shown)} more trials are not shown"
        for trial, card in zip(shown, cards, strict=True):
            values = board.values(trial)
            is_best = best is not None and trial.trial_id == best.trial_id
            score = score_text(trial, board.outline.goal) or loss_text(board.steps(trial))
            table.add_row(
                str(trial.number),
                Text(str(trial.end), MARKS[trial.end]),
                board.progress(trial),
                *(values.get(name, "") for name in board.outline.primary),
                f"{score} *" if is_best else score,
                *([board.images(trial)] if is_wide else []),
                clock(board.seconds(trial)),
                *([card] if any(cards) else []),
                *([Text(printable(place_of(trial)))] if board.outline.has_places else []),
                style="bold" if is_best else "",
            )
        for alone in board.alone.values():
            steps = alone.steps
            cells = [alone.progress, *[""] * len(board.outline.primary), loss_text(steps)]
            table.add_row("alone", Text(alone.dataset, "cyan"), *cells, style="dim")
        return table

    def _shown(self, board: Board, best: TrialRecord | None) -> list[TrialRecord]:
        """As many trials as the terminal has lines for: all that run, the defaults, the best, then the newest."""
        height = max(4, self._console.height - len(self._lines) - 7)
        order = sorted(
            board.trials.values(),
            key=lambda t: (t.end is not End.RUNNING, t is not best, t.number != 0, -t.number),
        )
        return sorted(order[:height], key=lambda t: t.number)
