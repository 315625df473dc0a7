"""What every store must do with objects, whichever server answers."""

from __future__ import annotations

from raytune_planes.stores.access import listing, opened
from raytune_planes.stores.address import Address
from raytune_planes.stores.writing import content, remove, write


def objects_are_written_listed_read_and_removed(bucket: Address) -> None:
    store, place = opened(bucket), bucket.below("results")
    assert listing(store, place) == [], "nothing below the prefix yet"
    item = write(store, place, "a/1.bin", b"one")
    assert listing(store, place) == [item]
    assert item[:2] == ("a/1.bin", 3)
    write(store, place, "a/1.bin", b"another")
    write(store, place, "empty", b"")
    assert content(store, place, "a/1.bin") == b"another"
    assert content(store, place, "empty") == b""
    assert content(store, place, "absent") is None
    remove(store, place, "a/1.bin")
    remove(store, place, "a/1.bin")
    assert [item.name for item in listing(store, place)] == ["empty"]
