"""Values that arguments take, and what they say of others."""

from __future__ import annotations

import argparse

import pytest

from raytune_planes.commands.arguments import gpus, share_of_gpus


@pytest.mark.parametrize(
    ("typed", "share"),
    [
        ("auto", (1.0, True)),
        ("auto:0.5", (0.5, True)),
        ("1", (1.0, False)),
        ("0", (0.0, False)),
        ("2", (2.0, False)),
        (0.25, (0.25, False)),
    ],
)
def test_a_share_of_gpus_is_a_number_or_auto(typed: str | float, share: tuple[float, bool]) -> None:
    assert share_of_gpus(typed) == share


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        *[("many", "'many' is no number"), ("nan", "'nan' is no number"), ("auto:nan", "'nan' is no number")],
        *[("-1", "-1 is too small"), ("auto:0", "give 0 for CPUs alone")],
        *[("1.5", "or a whole number of GPUs"), ("auto:2.5", "or a whole number"), ("inf", "or a whole number")],
    ],
)
def test_other_shares_are_refused(typed: str, said: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=said):
        gpus(typed)
