"""Whether a host sees the study's folder, and how it is warning_of."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.tuning.lease import FILE, Lease
from raytune_planes.tuning.sharing import sees, warning_of


def test_a_host_sees_the_folder_when_it_reads_what_the_driver_wrote(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with Lease(tmp_path / "study"):
        mark = (tmp_path / "study" / FILE).read_bytes()
        assert sees(str(tmp_path / "study" / FILE), mark)
        assert not sees(str(tmp_path / "other" / FILE), mark)
        (tmp_path / "other" / FILE).write_text("an older study of the same name, on a disk of this host")
        assert not sees(str(tmp_path / "other" / FILE), mark)


def test_hosts_that_are_left_out_are_named(tmp_path: Path) -> None:
    assert warning_of(tmp_path, ["w2", "w1"]).startswith(
        f"w1, w2 do not see {tmp_path}, so no trial runs there; name a folder"
    )
    assert "w1 does not see" in warning_of(tmp_path, ["w1"])
