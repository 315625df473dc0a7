"""The database that a search keeps its trials in: one SQLite file, opened so that others can read it, or a server's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from sqlalchemy.exc import OperationalError as SQLAlchemyOperational
from sqlalchemy.exc import SQLAlchemyError

from raytune_planes.errors import UserError
from raytune_planes.paths import sqlite_address
from raytune_planes.tuning.mirrored import Mirrored
from raytune_planes.tuning.shared_database import SharedDatabase

Database = Path | SharedDatabase


class Damaged(UserError):
    """What is in the database's place cannot be read as one."""


def storage(database: Database | None) -> BaseStorage:
    """A database that optuna-dashboard can read while the study writes."""
    if database is None:
        return InMemoryStorage()
    if isinstance(database, SharedDatabase):
        return Mirrored(database.open())
    database.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # readers never wait for the writer; it stays in the file
        fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise sqlite3.DatabaseError(fault)
    arguments = {"timeout": 60, "factory": _Connection}
    return Mirrored(RDBStorage(sqlite_address(database), engine_kwargs={"connect_args": arguments}))


def close(opened: BaseStorage) -> None:
    """Let go of the file."""
    if isinstance(opened, Mirrored) and isinstance(opened.database, RDBStorage):
        opened.database.engine.dispose()


@contextmanager
def damage_told(database: Database | None) -> Iterator[None]:
    """Inside the block: whatever SQLite, SQLAlchemy or Optuna raise over the file becomes one sentence.

    Raises:
        Damaged: it is no database, a damaged one, or one of another program.
        UserError: it cannot be opened.
    """
    try:
        yield
    except UserError:
        raise
    except (sqlite3.OperationalError, SQLAlchemyOperational) as error:
        missing = "no such" in str(error)  # a table or a column: another program's
        raise (Damaged if missing else UserError)(_no_database(database, error)) from error
    except (sqlite3.Error, SQLAlchemyError, OptunaError, RuntimeError, LookupError, ValueError, TypeError) as error:
        if database is None:
            raise
        raise Damaged(_no_database(database, error)) from error


def _no_database(database: Database | None, error: Exception) -> str:
    return f"{database} cannot be opened as the database of a study: {(str(error).splitlines() or [''])[0]}"


class _Connection(sqlite3.Connection):
    """Does not wait for the disk at every commit: only a loss of power can take what the records still hold."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.execute("PRAGMA synchronous=NORMAL")
