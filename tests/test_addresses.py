"""Addresses: a login is in no message and in no file, and what cannot be reached is said in one sentence."""

from __future__ import annotations

import socket
import subprocess
import sys
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raytune_planes.addresses import answering, is_postgres, same_database, without_login, without_secrets
from raytune_planes.errors import UserError

PASSWORDS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
HIDDEN = "postgresql://***"


def ask(address: str) -> None:
    with answering(address, "The database"):
        raise AssertionError("nobody can answer there")


@given(PASSWORDS)
@example("a/b@c?d#e f")
@example("x?password=y")
@example("1/2")
def test_a_login_before_the_host_is_neither_shown_nor_kept(password: str) -> None:
    for secret in (password, quote(password, safe="")):
        address = f"postgresql://me:{secret}@host:5432/db"
        assert without_secrets(address) in ("postgresql://***@host:5432/db", HIDDEN)
        assert without_login(address) in ("postgresql://host:5432/db", HIDDEN)


@given(PASSWORDS, st.sampled_from(["password", "sslpassword", "PWD", "auth_token"]))
@example("p@ss/word?", "password")
def test_a_password_behind_the_question_mark_is_neither_shown_nor_kept(password: str, key: str) -> None:
    bare = f"postgresql://host/db?{key}={password}"
    assert without_secrets(bare) in (f"postgresql://host/db?{key}=***", HIDDEN)
    among = f"postgresql://host/db?user=me&{key}={quote(password, safe='')}&sslmode=require"
    assert without_secrets(among) == f"postgresql://host/db?user=me&{key}=***"
    assert without_login(among) == "postgresql://host/db?user=me&sslmode=require"
    both = f"postgresql://me:{password}@host/db?{key}={quote(password, safe='')}"
    assert without_secrets(both) in (f"postgresql://***@host/db?{key}=***", HIDDEN)
    assert without_login(both) in ("postgresql://host/db", HIDDEN)


@given(st.text(st.characters(exclude_categories=("Cs", "Z", "Cc")), min_size=1, max_size=12))
def test_a_login_in_the_middle_of_a_message_is_not_shown(password: str) -> None:
    message = f"OperationalError: no postgresql://me:{password}@host/db there, ask http://docs"
    shown = ("postgresql://***@host/db", HIDDEN)
    assert without_secrets(message) in [f"OperationalError: no {one} there, ask http://docs" for one in shown]


@pytest.mark.parametrize(
    "text",
    ["sqlite:////tmp/a@b/mlflow.db", "file:///srv/a@b", "http://host:5000", "postgresql://host/db?sslmode=x", ""],
)
def test_an_address_without_a_login_stays_as_it_is(text: str) -> None:
    assert without_secrets(text) == without_login(text) == text


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("postgresql://h/d", True),
        ("postgresql+psycopg://h/d", True),
        ("sqlite:///postgresql:", False),
        ("http://h", False),
    ],
)
def test_a_postgres_is_known_by_its_address(text: str, is_one: bool) -> None:
    assert is_postgres(text) is is_one


@pytest.mark.parametrize("password", ["pass/word", "p@ss", "a?b", "two words"])
def test_a_login_that_can_be_read_in_two_ways_is_refused_before_a_library_repeats_it(password: str) -> None:
    with (
        pytest.raises(UserError, match=r"write such letters as percent and number, @ as %40") as told,
        answering(f"postgresql://me:{password}@127.0.0.1:1/db", "The database"),
    ):
        raise AssertionError
    assert password not in str(told.value)


def test_without_the_driver_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    with (
        pytest.raises(UserError, match=r"'psycopg' is not installed; install the extra: .*--extra postgres"),
        answering("postgresql://me:secret@127.0.0.1:1/db", "The database"),
    ):
        raise AssertionError


@pytest.mark.parametrize("address", ["postgresql://me:secret@127.0.0.1:port/db", "postgresql://me:secret@[::1/db"])
def test_an_address_that_is_none_is_said_so(address: str) -> None:
    with (
        pytest.raises(UserError, match=r"which is no address of the form postgresql://USER") as told,
        answering(address, "The database"),
    ):
        raise AssertionError
    assert "secret" not in str(told.value)


def test_a_search_in_what_is_no_postgres_is_refused_before_anything_is_loaded() -> None:
    code = (
        "import sys\nfrom raytune_planes.cli import main\n"
        "status = main(['tune', 'quick', '--search-db', 'sqlite:///x.db'])\n"
        "print(status, [name for name in ('torch', 'ray', 'optuna') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "2 []\n"
    assert "by --search-db at sqlite:///x.db, which is no address of the form postgresql://" in done.stderr


def test_a_server_that_is_away_is_said_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with (
        pytest.raises(UserError, match=r"The database does not answer at .*refused.*start the server") as told,
        answering(f"postgresql://me:secret@127.0.0.1:{port}/db", "The database"),
    ):
        raise AssertionError
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "text",
    [
        "host=127.0.0.1 user=me password=swordfish",
        "me:swordfish@host/db",
        "postgresql:me:swordfish@host/db",
        "postgresql:/me:swordfish@host/db",
        "POSTGRESQL:me:swordfish@host/db",
        "postgresql+nope://me:swordfish@host/db",
        "postgresql+psycopg_async://me:swordfish@host/db",
        "postgresql://me:swordfish@..x/db",
        "postgresql://me:swordfish@" + "x" * 64 + "/db",
        "postgresql://me:swordfish@127.0.0.1:port/db",
    ],
)
def test_what_is_no_address_is_refused_without_what_it_may_hold(text: str) -> None:
    with pytest.raises(UserError, match=r"asked for at \S*\*\*\*|does not answer at postgresql://\*\*\*@") as told:
        ask(text)
    assert "swordfish" not in str(told.value)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("postgresql://me@h/db", "postgresql+psycopg://you:secret@h:5432/db?sslmode=require", True),
        ("postgresql:///db?host=/srv/a", "postgresql://me@/db?host=/srv/a", True),
        ("postgresql://me@h/db?port=1", "postgresql://me@h:1/db", True),
        ("postgresql://me@h/", "postgresql://me@h/me", True),
        ("postgresql:///db?host=/nowhere/a", "postgresql:///db?host=/nowhere/b", False),
        ("postgresql:///db?host=/nowhere/a", "postgresql:///other?host=/nowhere/a", False),
        ("postgresql://me@h/db", "postgresql://me@h:port/db", False),
        ("postgresql://me@h/db", "postgres:db", False),
    ],
)
def test_two_addresses_lead_to_one_database_or_not(one: str, other: str, is_same: bool) -> None:
    assert same_database(one, other) is is_same
