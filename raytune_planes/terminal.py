"""What a person sees of a running study: a table that lives in a terminal, plain lines anywhere else."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from raytune_planes.records import Action, End, EpochRecord, Goal, TrialRecord, split_metric

MARKS: Mapping[End, str] = {
    End.RUNNING: "cyan",
    End.CONVERGED: "green",
    End.COMPLETED: "green",
    End.PRUNED: "yellow",
    End.FAILED: "red",
    End.INTERRUPTED: "magenta",
}
"""End -> colour."""


@dataclass(frozen=True)
class Outline:
    """What is known of a study before its first trial."""

    name: str
    goal: Goal
    primary: Mapping[str, str]
    """Dataset -> the validation metric to show."""
    trials: int
    """How many were asked for."""
    epochs: int
    """Of a trial that runs to its end, as far as the space fixes it."""
    about: str = ""
    """One line: the question, the machine, where results go."""
    earlier: tuple[TrialRecord, ...] = ()
    """Trials that ended before the study was resumed."""


class View(Protocol):
    """Told of a study by its driver."""

    def start(self, outline: Outline) -> None: ...

    def trial_started(self, trial: TrialRecord) -> None: ...

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        """``trial`` already holds ``epoch``."""

    def trial_ended(self, trial: TrialRecord) -> None: ...

    def note(self, text: str) -> None:
        """Something a person should read that belongs to no trial."""

    def stop(self) -> None:
        """No more is shown; called however the study ends, perhaps twice."""


def make_view(stream: TextIO) -> View:
    """The live table where ``stream`` is a terminal, plain lines where not."""
    return LiveView(Console(file=stream)) if stream.isatty() else PlainView(stream)


class Board:
    """What both views know: the trials, the best one, and how long the rest may take."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.trials = {t.trial_id: t for t in outline.earlier}
        self._earlier = frozenset(self.trials)
        self._start_s = time.monotonic()

    def take(self, trial: TrialRecord) -> None:
        self.trials[trial.trial_id] = trial

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start_s

    @property
    def ended(self) -> int:
        return sum(t.end not in (End.RUNNING, End.INTERRUPTED) for t in self.trials.values())

    def remaining_s(self) -> float | None:
        """From the pace of the epochs so far; None before the first one. An ended trial counts as all of its epochs."""
        epochs = self.outline.epochs
        done = sum(
            min(len(t.epochs), epochs) if t.end is End.RUNNING else epochs
            for t in self.trials.values()
            if t.trial_id not in self._earlier
        )
        left = (self.outline.trials - len(self._earlier)) * epochs - done
        return self.elapsed_s * left / done if done else None

    def best(self) -> TrialRecord | None:
        """The highest score so far, of all trials that are neither pruned nor failed."""
        goal = self.outline.goal
        fit = [t for t in self.trials.values() if t.epochs and t.end not in (End.PRUNED, End.FAILED)]
        return max(fit, key=lambda t: (_score(t, goal), -t.number), default=None)

    def values(self, trial: TrialRecord) -> dict[str, str]:
        """Dataset -> its primary metric at the trial's best epoch, or last one while it runs; ``z`` marks rest."""
        at = trial.epochs[-1] if trial.end is End.RUNNING and trial.epochs else trial.best(self.outline.goal)
        if at is None:
            return {}
        resting = trial.epochs[-1].resting
        return {
            name: f"{at.metrics[key]:.3f}{' z' if name in resting else ''}"
            for name, key in self.outline.primary.items()
            if key in at.metrics
        }


class PlainView:
    """One line per event, for logs, pipes and continuous integration."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._board: Board | None = None

    def start(self, outline: Outline) -> None:
        self._board = Board(outline)
        again = f", {len(outline.earlier)} of them from before" if outline.earlier else ""
        self._say(f"study {outline.name}: {outline.trials} trials{again}. {outline.about}".strip())

    def trial_started(self, trial: TrialRecord) -> None:
        self._know().take(trial)
        drawn = ", ".join(f"{path} = {_short(value)}" for path, value in trial.drawn.items())
        self._say(f"trial {trial.number} starts{' again' if trial.epochs else ''}: {drawn or 'the defaults'}")

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        board = self._know()
        board.take(trial)
        values = ", ".join(
            f"{name} {_name(board.outline.primary[name])} {value}" for name, value in board.values(trial).items()
        )
        self._say(f"trial {trial.number} epoch {_of(trial)}: {values} ({epoch.seconds:.1f} s)")
        for line in _decisions(trial, epoch):
            self._say(line)

    def trial_ended(self, trial: TrialRecord) -> None:
        board = self._know()
        board.take(trial)
        best = board.best()
        mark = ", the best so far" if best is not None and best.trial_id == trial.trial_id else ""
        score = f", score {_score(trial, board.outline.goal):.4f}{mark}" if trial.epochs else ""
        left = board.remaining_s()
        rest = f"; {board.ended} of {board.outline.trials} trials, {_clock(board.elapsed_s)} so far"
        rest += f", about {_clock(left)} to go" if left else ""
        self._say(f"trial {trial.number} {trial.end}: {trial.reason}{score}{rest}")

    def note(self, text: str) -> None:
        self._say(text)

    def stop(self) -> None:
        self._stream.flush()

    def _say(self, text: str) -> None:
        print(text, file=self._stream, flush=True)

    def _know(self) -> Board:
        assert self._board is not None, "start comes first"
        return self._board


class LiveView:
    """A table that is drawn anew twice a second: one row per trial, the newest below, and the last decisions."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._board: Board | None = None
        self._live: Live | None = None
        self._lines: deque[str] = deque(maxlen=5)
        self._lock = threading.Lock()  # the table is drawn by a thread of rich

    def start(self, outline: Outline) -> None:
        self._board = Board(outline)
        self._console.print(f"[bold]study {outline.name}[/]  {outline.about}", highlight=False)
        self._live = Live(get_renderable=self._draw, console=self._console, refresh_per_second=2, transient=False)
        self._live.start()

    def trial_started(self, trial: TrialRecord) -> None:
        self._take(trial)

    def epoch(self, trial: TrialRecord, epoch: EpochRecord) -> None:
        self._take(trial, *_decisions(trial, epoch))

    def trial_ended(self, trial: TrialRecord) -> None:
        told = trial.end in (End.PRUNED, End.FAILED, End.INTERRUPTED)
        self._take(trial, *([f"trial {trial.number} {trial.end}: {trial.reason}"] if told else []))

    def note(self, text: str) -> None:
        if self._live is None:
            self._console.print(text, highlight=False, markup=False)
        else:
            self._live.console.print(text, highlight=False, markup=False)

    def stop(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _take(self, trial: TrialRecord, *lines: str) -> None:
        assert self._board is not None, "start comes first"
        with self._lock:
            self._board.take(trial)
            self._lines.extend(lines)

    def _draw(self) -> RenderableType:
        assert self._board is not None
        with self._lock:
            table, lines = self._table(self._board), [Text(line, "dim") for line in self._lines]
            board = self._board
            left = board.remaining_s()
            foot = f"{board.ended} of {board.outline.trials} trials   {_clock(board.elapsed_s)} elapsed"
            foot += f"   about {_clock(left)} to go" if left else ""
        return Group(table, *lines, Text(foot, "bold"))

    def _table(self, board: Board) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("trial", "", "epoch"):
            table.add_column(name, justify="left" if name == "" else "right")
        for name, key in board.outline.primary.items():
            table.add_column(f"{name}\n{_name(key)}", justify="right")
        for name in ("score", "images", "time"):
            table.add_column(name, justify="right")
        best = board.best()
        shown = self._shown(board, best)
        if len(shown) < len(board.trials):
            table.caption = f"{len(board.trials) - len(shown)} more trials are not shown"
        for trial in shown:
            values = board.values(trial)
            is_best = best is not None and trial.trial_id == best.trial_id
            score = f"{_score(trial, board.outline.goal):.4f}" if trial.epochs else ""
            table.add_row(
                str(trial.number),
                Text(str(trial.end), MARKS[trial.end]),
                _of(trial),
                *(values.get(name, "") for name in board.outline.primary),
                f"{score} *" if is_best else score,
                f"{trial.epochs[-1].samples:,}" if trial.epochs else "",
                _clock(sum(e.seconds for e in trial.epochs)),
                style="bold" if is_best else "",
            )
        return table

    def _shown(self, board: Board, best: TrialRecord | None) -> list[TrialRecord]:
        """As many trials as the terminal has lines for: all that run, the defaults, the best, then the newest."""
        room = max(4, self._console.height - len(self._lines) - 7)
        order = sorted(
            board.trials.values(),
            key=lambda t: (t.end is not End.RUNNING, t is not best, t.number != 0, -t.number),
        )
        return sorted(order[:room], key=lambda t: t.number)


def _decisions(trial: TrialRecord, epoch: EpochRecord) -> list[str]:
    verbs = {Action.REST: "rests", Action.WAKE: "wakes"}
    return [
        f"trial {trial.number}: {d.dataset} {verbs[d.action]} after epoch {d.epoch}: {d.reason}"
        for d in epoch.decisions
    ]


def _score(trial: TrialRecord, goal: Goal) -> float:
    best = trial.best(goal)
    return goal.score(best.metrics) if best else float("-inf")


def _of(trial: TrialRecord) -> str:
    return f"{trial.epochs[-1].epoch if trial.epochs else 0}/{trial.config.get('budget.epochs', '?')}"


def _name(key: str) -> str:
    parts = split_metric(key)
    return parts[2] if parts else key


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _clock(seconds: float) -> str:
    """``75`` -> ``1:15``; hours where there are some."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
