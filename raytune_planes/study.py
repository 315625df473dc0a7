"""A study's results from Python, read from its folder each time that they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.printing import counted
from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.reading import StudyFiles

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True)
class Trial:
    """One trial of a study, as its files say.

    >>> best = rp.load_study("first").best
    >>> sorted(best.drawn)
    ['optim.lr']
    >>> best.settings["budget.epochs"], best.epoch in (1, 2)
    (2, True)
    >>> (best.folder / "best.pt").is_file()
    True
    >>> "budget.epochs" in repr(best)  # of hundreds of settings, those that were drawn
    False
    """

    number: int
    """0 for the defaults."""
    end: str
    """``completed``, ``converged``, ``pruned``, ``failed``, ``interrupted`` or ``running``."""
    reason: str
    settings: Mapping[str, Any] = field(repr=False)
    """All of them, by dotted path."""
    drawn: Mapping[str, Any]
    """Those that the search chose."""
    epoch: int
    """The epoch that scored highest under the study's goal; 0 before the first."""
    metrics: Mapping[str, float] = field(repr=False)
    """Of that epoch, by ``val/<dataset>/<name>``."""
    folder: Path
    """Holds ``best.pt``, ``config.yaml``, ``epochs.jsonl``."""


class Study:
    """A study's results, read from its folder each time that it is asked: also while it runs.

    >>> study = rp.load_study("first")
    >>> study.name, study.end
    ('first', 'completed')
    >>> study.trials()[["end", "optim.lr"]].loc[0].to_dict()  # trial 0 is the defaults
    {'end': 'completed', 'optim.lr': 0.002}
    >>> bool(study.front()["val/fgvc/accuracy"].max() <= 1)
    True
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        reading.read_ends(folder)  # refuses a folder without a study

    @property
    def name(self) -> str:
        return reading.read_ends(self.folder)[0].name

    @property
    def end(self) -> str:
        """How it ended: ``completed``, ``interrupted`` or ``failed``; ``running`` while it does, or after a kill."""
        _, ended = reading.read_ends(self.folder)
        return str(ended.end if ended else End.RUNNING)

    @property
    def best(self) -> Trial | None:
        """The best complete trial that keeps every floor, else the nearest; None while no trial is complete."""
        return self.prefer(None)

    def prefer(self, metric: str | None) -> Trial | None:
        """The trial that is best in one metric, floors kept.

        Args:
            metric: Such as ``val/fgvc/accuracy``; None for the study's own goal.

        Returns:
            The complete trial with the best value that keeps every floor, else the nearest; None while there is none.

        Raises:
            UserError: no trial has that metric.
        """
        from raytune_planes.pareto import choose

        study = self._files()
        choice = choose(study.trials, study.start.goal, metric)
        return self._trial(study, choice.trial) if choice else None

    def trials(self) -> pandas.DataFrame:
        """A row a trial, by number: ``end``, ``reason``, ``epoch``, the settings drawn, the metrics of that epoch."""
        study = self._files()
        return self._frame(study, study.trials)

    def front(self) -> pandas.DataFrame:
        """The rows of ``trials()`` that no other trial beats in every objective; empty where none keeps the floors."""
        from raytune_planes.pareto import choose

        study = self._files()
        choice = choose(study.trials, study.start.goal)
        return self._frame(study, choice.front if choice else ())

    @property
    def final(self) -> Mapping[str, Any] | None:
        """The final training (``final=EPOCHS``): the search's choice and the defaults again at a long budget.

        Returns:
            ``epochs``, the long budget; ``trial``, the number of the search's choice; ``ended``; ``verdict`` in words;
            ``handed_over``, the number of the trial whose long training holds, or None; and ``metrics``, by
            ``val/<dataset>/<name>`` the values of ``defaults``, ``best``, ``alone``, ``long_defaults`` and
            ``long_choice``, None where there is none. None as a whole where the study trains nothing at the end.
        """
        from raytune_planes.report.final import final_json

        return final_json(self._files())

    def _frame(self, study: StudyFiles, trials: Iterable[TrialRecord]) -> pandas.DataFrame:
        import pandas

        rows = []
        for record in trials:
            trial = self._trial(study, record)
            start = {"number": trial.number, "end": trial.end, "reason": trial.reason, "epoch": trial.epoch}
            rows.append({**start, **trial.drawn, **trial.metrics})
        return pandas.DataFrame(rows, columns=None if rows else ["number"]).set_index("number")

    def _trial(self, study: StudyFiles, record: TrialRecord) -> Trial:
        epoch = record.best(study.start.goal)
        return Trial(
            number=record.number,
            end=str(record.end),
            reason=record.reason,
            settings=record.config,
            drawn=record.drawn,
            epoch=epoch.epoch if epoch else 0,
            metrics=epoch.metrics if epoch else {},
            folder=files.trial_folder(study.folder, record.number, record.trial_id),
        )

    def _files(self) -> StudyFiles:
        return reading.read_study(self.folder)

    def __repr__(self) -> str:
        return f"Study({str(self.folder)!r}, {counted(len(self._files().trials), 'trial')}, {self.end})"
