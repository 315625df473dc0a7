"""A search's database that is dropped, locked, or known to a host under another name, on a real PostgreSQL."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from raytune_planes import addresses, waiting
from raytune_planes.errors import UserError
from raytune_planes.tracking.mlflow_connection import connect
from raytune_planes.tuning import patient
from raytune_planes.tuning.search import Search
from raytune_planes.tuning.shared_database import SharedDatabase, refuse_away
from tests.postgres import Postgres, postgres
from tests.tuning.test_searcher import a_hill, a_space, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


def sql(address: str, *commands: str) -> None:
    with create_engine(address, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        for command in commands:
            connection.execute(text(command))


def shared(server: Postgres, tmp_path: Path, database: str = "postgres") -> SharedDatabase:
    return SharedDatabase(server.address(database), tmp_path / "night", "night")


def closing(request: pytest.FixtureRequest, *args: Any) -> Search:
    search = Search(*args)
    request.addfinalizer(search.close)
    return search


def test_a_database_that_is_dropped_in_the_middle_is_not_waited_for_and_is_filled_again_where_it_is_made_again(
    server: Postgres, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "PAUSE_S", 0.02)
    sql(server.address(), "create database search")
    search = closing(request, a_space(), shared(server, tmp_path, "search"))
    run(search, a_hill, 2)
    search.wait_while(lambda: False)
    sql(server.address(), "drop database search with (force)")
    with pytest.raises(KeyboardInterrupt, match='database "search" does not exist; nothing is lost'):
        search.ask()
    with pytest.raises(UserError, match='does not answer at .*database "search" does not exist'):
        closing(request, a_space(), shared(server, tmp_path, "search"))
    sql(server.address(), "create database search")
    assert [asked.number for asked in run(closing(request, a_space(), shared(server, tmp_path, "search")), a_hill, 1)]


def test_a_host_whose_name_changes_goes_on_with_its_study_and_a_copy_elsewhere_does_not_while_it_runs(
    server: Postgres, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = closing(request, a_space(), first := shared(server, tmp_path))
    run(search, a_hill, 1)
    monkeypatch.setattr(socket, "gethostname", lambda: "another-host")
    assert not shared(server, tmp_path).exists(), "it is driven under the other name"
    search.close()
    renamed = shared(server, tmp_path)
    assert renamed.study == first.study
    run(closing(request, a_space(), renamed), a_hill, 1)
    assert "another-host" in (tmp_path / "night" / "search.json").read_text()


def test_tables_that_another_process_makes_are_waited_for_and_that_is_told(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(waiting, "AFTER_S", 0.05)
    with create_engine(server.address(), poolclass=NullPool).connect() as other:
        other.execute(text(f"select pg_advisory_lock({addresses.MAKES_TABLES})"))
        waits = threading.Thread(target=refuse_away, args=[server.address()])
        waits.start()
        until(lambda: "another process makes tables there, which is waited for" in said(capsys), waits)
    waits.join(60)
    assert not waits.is_alive()


SAID: list[str] = []


def said(capsys: pytest.CaptureFixture[str]) -> str:
    SAID.append(capsys.readouterr().err)
    return "".join(SAID)


def until(holds: Callable[[], bool], waits: threading.Thread) -> None:
    while not holds():
        assert waits.is_alive()
        waits.join(0.05)


def test_a_refused_login_names_what_gave_the_address_and_the_password(
    server: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = f"postgresql://planes@127.0.0.1:{server.port}/postgres"
    monkeypatch.setenv("PGPASSWORD", "swordfish")
    with pytest.raises(UserError, match=r"\(from RAYTUNE_PLANES_SEARCH_DB\).*the password came from PGPASSWORD"):
        refuse_away(bare, named_by="RAYTUNE_PLANES_SEARCH_DB")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", bare)
    with pytest.raises(UserError, match=r"MLflow's database \(from MLFLOW_TRACKING_URI\).*came from PGPASSWORD"):
        connect(bare)
    monkeypatch.delenv("PGPASSWORD")
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"\(from --search-db\).*came from nowhere: none was given"):
        refuse_away(bare)
    with pytest.raises(UserError, match=r"the password came from the address itself") as told:
        refuse_away(server.address(password="swordfish"))
    assert "swordfish" not in str(told.value)


def test_a_user_who_may_not_write_is_refused_before_anything_starts_with_what_is_missing(server: Postgres) -> None:
    sql(server.address(), "create database guarded", "create role reader login password 'r'")
    mine = f"postgresql://reader:r@127.0.0.1:{server.port}/guarded"
    sql(server.address("guarded"), "revoke create on schema public from public")
    for ask, what in ((refuse_away, "the search's database"), (connect, "MLflow's database")):
        with pytest.raises(UserError, match=rf"{what} .* cannot be used by its user reader, who may not make tables"):
            ask(mine)
    sql(server.address("guarded"), "create table studies (a int)", "grant select on studies to reader")
    with pytest.raises(UserError, match="reader, who may not write the table 'studies' there"):
        refuse_away(mine)
    sql(server.address("guarded"), "grant insert on studies to reader")
    refuse_away(mine)
    sql(server.address(), "alter database guarded set default_transaction_read_only = on")
    with pytest.raises(UserError, match="can only be read"):
        refuse_away(mine)
