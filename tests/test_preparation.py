"""Opening data: how far decoding has come is told, and what the cache may hold is respected."""

from __future__ import annotations

from pathlib import Path

from raytune_planes.datasets.storage import ENTRY
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.preparation import WORTH_TELLING, open_data
from raytune_planes.settings import make_config


def test_decoding_many_pictures_tells_its_quarters_and_a_limit_keeps_only_what_is_in_use(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", planesnet=WORTH_TELLING, hrplanes=0, fgvc=0, fgvc_classes=0, seed=0)
    cache = tmp_path / "cache"
    others = {f"datasets.{name}.enabled": False for name in ("hrplanes", "fgvc")}
    said: list[str] = []

    def open_at(side: int, limit_gib: float) -> str:
        config = make_config(others, {"datasets.planesnet.image_size": side})
        return open_data(config, tmp_path / "data", cache, said.append, limit_gib)["planesnet"].fingerprint

    first, second = open_at(24, 1.0), open_at(32, 1.0)
    told = [line for line in said if "decoded" in line]
    assert len(told) == 8, "four for each size"
    assert told[3] == told[7] == "planesnet: decoded 1,000 of 1,000 pictures"
    entries = {p.name for p in cache.iterdir() if ENTRY.fullmatch(p.name)}
    assert entries == {first, second}

    assert open_at(24, 0.0) == first
    assert {p.name for p in cache.iterdir() if ENTRY.fullmatch(p.name)} == {first}
    assert len([line for line in said if "decoded" in line]) == 8, "a second time nothing is decoded"
