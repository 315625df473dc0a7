"""The Ray that a study finds or starts, and the machines it counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.errors import UserError
from raytune_planes.tuning.cluster import Node, connected, may_start


def test_hosts_that_the_cluster_may_start_are_read_from_its_file() -> None:
    assert may_start("") == []
    assert may_start("4 x 4 CPU 1 GPU, 8 x 8 CPU") == [(4, Node(4, 1)), (8, Node(8, 0))]
    with pytest.raises(UserError, match="RAYTUNE_PLANES_AUTOSCALES: cannot read 'eight'; write it like '4 x 4 CPU"):
        may_start("4 x 4 CPU, eight")


def test_a_named_cluster_that_does_not_answer_is_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"the Ray cluster at 127\.0\.0\.1:1 does not answer"), connected():
        pass


def test_a_note_of_a_dead_head_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from raytune_planes.tuning.cluster import _head_on_this_machine

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    assert _head_on_this_machine() == ""
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    assert _head_on_this_machine() == ""
