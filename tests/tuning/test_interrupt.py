"""Ctrl-C as a wish, and a second one as an order."""

from __future__ import annotations

import os
import signal

import pytest

from raytune_planes.tuning import interrupt as module
from raytune_planes.tuning.interrupt import Interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_next_one_is_final(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(number)
    with Interrupt() as interrupt:
        assert not interrupt.requested
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)  # the same wish, sent twice
        assert interrupt.requested
        monkeypatch.setattr(module, "TWICE_S", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
