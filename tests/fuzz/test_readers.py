"""A short run of the fuzzing that ``python -m tests.benchmarks fuzz`` does at length."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.changes import changed
from tests.fuzz.fence import fence
from tests.fuzz.targets import TARGETS, attempt

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow says of odd files that it can read

SLOW = {"space": 20, "planesnet": 20}
"""Examples of readers that take long; the others get more."""


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_taken(name: str, tmp_path: Path) -> None:
    for seed in TARGETS[name].seeds():
        assert attempt(TARGETS[name], seed, tmp_path)


@pytest.mark.parametrize("name", TARGETS)
def test_a_damaged_input_is_taken_or_refused_in_words_and_nothing_is_written_elsewhere(name: str) -> None:
    target, seeds = TARGETS[name], TARGETS[name].seeds()

    @settings(max_examples=SLOW.get(name, 60), deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(seeds), st.integers(0, 2**32), st.binary(max_size=200), st.booleans())
    def holds(seed: bytes, chance: int, noise: bytes, only_noise: bool) -> None:
        data = noise if only_noise and chance % 4 == 0 else changed(seed, random.Random(chance))
        with tempfile.TemporaryDirectory() as folder, fence(Path(folder)) as outside:
            attempt(target, data, Path(folder))
            assert not outside

    holds()


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("trial", b'"number": 0', b'"number": 1e309'),
        ("end", b'"ended_ms": 1700000005000', b'"ended_ms": -1e309'),
        ("epochs", b'"val/fgvc/accuracy": 0.1', b'"x": ' + b"[" * 100_000),
        ("lists", b"x/a.jpg", b"x/a.jpg\n."),
        ("words", b"1e-3", b"2024-13-45"),
    ],
)
def test_what_fuzzing_found_is_refused_or_told(name: str, old: bytes, new: bytes, tmp_path: Path) -> None:
    (seed, *_) = TARGETS[name].seeds()
    assert old in seed
    attempt(TARGETS[name], seed.replace(old, new), tmp_path)
