"""As many trials at once as the granted memory holds."""

from __future__ import annotations

import pytest

from raytune_planes.memory import GIB
from raytune_planes.tuning import fitting
from raytune_planes.tuning.fitting import in_words, trials_in_memory


@pytest.mark.parametrize(
    ("workers", "gib", "fit"),
    [(1, 24, 38), (1, 4, 4), (1, 2.4, 2), (1, 1.9, 1), (1, 0.5, 1), (2, 4, 2), (4, 24, 9)],
)
def test_trials_fit_into_what_the_study_itself_leaves(workers: int, gib: float, fit: int) -> None:
    assert trials_in_memory(workers, round(gib * GIB)) == fit


def test_fewer_trials_than_processors_are_told_with_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "granted", lambda: 4 * GIB)
    assert trials_in_memory(1) == 4
    assert in_words(4, 16) == (
        "4.0 GiB of memory are granted here, enough for 4 trials at once (0.6 GiB a process, 1.2 for the study) where "
        "the processors would do for 16; --concurrent asks for another number"
    )
