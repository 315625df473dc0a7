"""A search in a PostgreSQL that lost it, has two names, or does not let it write: said in a sentence, and mended."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from sqlalchemy import NullPool, create_engine, text

from raytune_planes.errors import UserError
from raytune_planes.tuning.memory import open_search
from raytune_planes.tuning.shared_database import SharedDatabase, refuse_away
from tests.postgres import Postgres, postgres
from tests.tuning.test_memory import a_study
from tests.tuning.test_searcher import ONE, a_space

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


def test_a_search_that_was_made_again_is_found_by_the_next_start(server: Postgres, tmp_path: Path) -> None:
    records = a_study(tmp_path / "optuna.db", ONE, "tpe")
    said, names = list[list[str]](), list[str]()
    for is_lost in (False, True, False):
        shared = SharedDatabase(server.address(), tmp_path / "night", "night")
        if is_lost:
            storage = optuna.storages.RDBStorage(shared.address, engine_kwargs={"poolclass": NullPool})
            optuna.delete_study(study_name=shared.study, storage=storage)
        said.append([])
        search, _ = open_search(a_space(ONE), shared, records, said[-1].append, seed=4)
        search.close()
        names.append(shared.study)
    assert "is recreated from the records of" in said[1][0]
    assert said[2] == []
    assert names[0] != names[1] == names[2]


def test_a_database_that_loses_its_tables_ends_the_study_as_interrupted_and_is_filled_again(
    server: Postgres, tmp_path: Path
) -> None:
    records = a_study(tmp_path / "optuna.db", ONE, "tpe")
    search, _ = open_search(a_space(ONE), SharedDatabase(server.address(), tmp_path / "lost", "lost"), records, print)
    search.wait_while(lambda: False)
    with create_engine(server.address(), poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("drop schema public cascade"))
        connection.execute(text("create schema public"))
    with pytest.raises(
        KeyboardInterrupt, match=r"at postgresql://\*\*\*@.*: relation .* does not exist; nothing is lost"
    ):
        search.ask()
    search.close()
    said = list[str]()
    again, _ = open_search(
        a_space(ONE), SharedDatabase(server.address(), tmp_path / "lost", "lost"), records, said.append
    )
    assert "is recreated from the records of" in said[0]
    assert len(again.trials) == len(records)
    again.close()


def test_the_search_and_mlflow_are_known_to_be_in_one_database_by_two_names_of_its_host(server: Postgres) -> None:
    with pytest.raises(UserError, match="both asked for in"):
        refuse_away(server.address(), server.address().replace("127.0.0.1", "localhost"))
    with create_engine(server.address(), poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.execute(text("create database other"))
    refuse_away(server.address(), server.address("other"))
