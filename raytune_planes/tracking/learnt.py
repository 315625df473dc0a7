"""What a study took over from earlier ones, as its start record keeps it: enough to repeat it without them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from raytune_planes.printing import counted


@dataclass(frozen=True)
class Source:
    """An earlier study that counted."""

    study: str
    study_id: str
    weight: float
    """How much it resembles the study that learns, in (0, 1]."""
    trials: int
    """Of it, those that had a result."""


@dataclass(frozen=True)
class Lesson:
    """A configuration of an earlier study, in the ranges of the study that learns."""

    study: str
    trial: int
    values: Mapping[str, Any]
    """By dotted path; what is missing is drawn by the sampler."""


@dataclass(frozen=True)
class Learnt:
    """The earlier studies, and what was taken from them."""

    sources: tuple[Source, ...] = ()
    portfolio: tuple[Lesson, ...] = ()
    """Configurations for the first trials after the defaults, best first."""
    first: int = 1
    """Number of the trial that takes the first of them."""
    packaged: bool = False
    """Whether the studies are those that come with the package."""

    @property
    def numbers(self) -> range:
        """Of the trials that take the portfolio."""
        return range(self.first, self.first + len(self.portfolio))

    @property
    def salt(self) -> int:
        """A number of these configurations, which keeps the sampler from drawing theirs again; 0 for none."""
        values = json.dumps([dict(lesson.values) for lesson in self.portfolio], sort_keys=True, default=str)
        return zlib.crc32(values.encode()) if self.portfolio else 0

    @property
    def in_words(self) -> str:
        """``trials 1 to 4 from a (40 trials, likeness 0.90 of 1), b (8 trials, …)``."""
        named = ", ".join(
            f"{s.study} ({counted(s.trials, 'trial')}, likeness {s.weight:.2f} of 1)" for s in self.sources
        )
        last = f" to {self.numbers[-1]}" if len(self.portfolio) > 1 else ""
        where = f"the packaged portfolio: {counted(len(self.sources), 'study', 'studies')}, " if self.packaged else ""
        return f"{'trials' if last else 'trial'} {self.first}{last} from {where}{named}"

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Learnt:
        return Learnt(
            tuple(Source(**source) for source in data["sources"]),
            tuple(Lesson(**lesson) for lesson in data["portfolio"]),
            int(data["first"]),
            bool(data.get("packaged", False)),  # records of earlier versions do not tell
        )


NOTHING = Learnt()
