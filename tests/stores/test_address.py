"""Addresses of object stores, and those that are refused before anything is asked."""

from __future__ import annotations

from pathlib import Path

import pytest

from raytune_planes.cli import main
from raytune_planes.errors import UserError
from raytune_planes.stores.address import Address, where


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("s3://planes", Address("s3", "planes")),
        ("s3://planes/a/b/", Address("s3", "planes", "a/b")),
        ("s3:/planes/a", Address("s3", "planes", "a")),  # as str(Path("s3://planes/a"))
        ("gs://planes/a b?#%41", Address("gs", "planes", "a b?#%41")),
        ("az://container/x@y", Address("az", "container", "x@y")),
        ("s3://anonymous@planes/a", Address("s3", "planes", "a", anonymous=True)),
    ],
)
def test_an_address_has_a_scheme_a_bucket_and_a_prefix(text: str, address: Address) -> None:
    assert where(text) == address
    assert where(str(address)) == address


def test_what_is_no_address_is_a_path() -> None:
    assert where("a/b") == Path("a/b")
    assert where("C:/data") == Path("C:/data")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host/x", r"kind that is not known; give a folder, or s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://"),
        ("https://user:hunter2@host/x", r"'https://…@host/x' is an address of a kind"),
        ("s3://", "names no bucket; give s3://BUCKET"),
        ("s3:///prefix", "names no bucket; give s3://BUCKET"),
        ("s3://-b/x", "'-b' cannot be one"),
        ("s3://b1/a/../c", "no empty part, '.' or '..'"),
        ("s3://b1/a//c", "no empty part"),
        ("s3://AKIA:hunter2@bucket/x", "a login stands in the address s3://…"),
        ("s3://AKIA:hun/ter2@bucket/x", "a login stands in the address s3://…"),
        ("az://someone@bucket/x", "a login stands in the address az://…"),
    ],
)
def test_an_address_that_cannot_be_used_ends_with_status_2_and_shows_no_secret(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match=message):
        where(text)
    with pytest.raises(SystemExit) as left:
        main(["train", f"--data={text}"])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "hunter2" not in said
    assert "ter2" not in said
