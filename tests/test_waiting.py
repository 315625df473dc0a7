"""What is waited for is told, and a short wait is not."""

from __future__ import annotations

import threading

import pytest

from raytune_planes import waiting
from raytune_planes.waiting import told_while


def test_a_long_wait_is_told_again_and_again_and_a_short_one_not(monkeypatch: pytest.MonkeyPatch) -> None:
    said, twice = list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    with told_while(lambda: "the lock is held", say):
        pass
    assert said == []
    monkeypatch.setattr(waiting, "AFTER_S", 0.01)
    monkeypatch.setattr(waiting, "AGAIN_S", 0.01)
    with told_while(lambda: "the lock is held", say):
        assert twice.wait(60)
    assert {line.partition(";")[0] for line in said} == {"the lock is held"}
    told = len(said)
    assert not [thread for thread in threading.enumerate() if thread.name == "told while waiting"]
    assert len(said) == told


def test_a_wait_whose_reason_cannot_be_told_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    said, once = list[str](), threading.Event()

    def say(line: str) -> None:
        said.append(line)
        once.set()

    def broken() -> str:
        raise OSError("no answer")

    monkeypatch.setattr(waiting, "AFTER_S", 0.01)
    with told_while(broken, say):
        assert once.wait(60)
    assert "OSError: no answer" in said[0]
