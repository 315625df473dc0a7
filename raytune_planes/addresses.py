"""Addresses of servers and databases: what in them is secret, and whether a PostgreSQL answers at one."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.errors import UserError
from raytune_planes.waiting import told_while

if TYPE_CHECKING:
    from sqlalchemy import Connection

ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://")
OF_FILES = ("sqlite", "file")
"""Begin addresses that are paths: they hold no login, and may hold an @."""
SECRET = re.compile(r"[?&][^=&]*(?:password|passwd|pwd|secret|token)[^=&]*=", re.IGNORECASE)
"""Begins a secret behind the ? of an address."""
ANSWER_S = 10
"""How long a server may take to let a client in."""
TABLES_S, LOOK_S = 600.0, 0.2
"""How long another process may make tables, and the pause between two looks: a client that has lost its network keeps
the lock for hours."""
MAKES_TABLES = 7_245_119
"""A lock of PostgreSQL: Optuna and MLflow make their tables one after the other, for they fail where two do at once."""


def without_secrets(text: str) -> str:
    """An address for messages, or a message with addresses in it: no login, no password.

    All before the last @ counts as login, since people write passwords with / and @ in them as they are, and all from
    the first secret behind the ? on is left out; where the two overlap, nothing but the kind of the address is shown.
    """
    if ADDRESS.match(text):
        return _without(text, "***@", hides_rest=True)
    return re.sub(rf"{ADDRESS.pattern}\S*", lambda found: _without(found[0], "***@", hides_rest=True), text)


def without_login(address: str) -> str:
    """An address for files: it still leads there, for those who can log in."""
    return _without(address, "")


def named(address: str) -> str:
    """What was given in the place of an address, for messages: of what is none, nothing that may hold a password."""
    return without_secrets(address) if ADDRESS.match(address) or not re.search("[@=]", address) else "***"


def is_postgres(address: str) -> bool:
    """Whether a PostgreSQL is meant, also where the address is malformed."""
    return re.match(r"postgres(ql)?(\+\w+)?:", address, re.IGNORECASE) is not None


def same_database(one: str, other: str) -> bool:
    """Whether two addresses of PostgreSQL lead to one database, whoever logs in and however the host is called: where
    both answer, a lock that is taken by one of them is missing at the other."""
    from sqlalchemy import NullPool, create_engine, make_url, text
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    def place(address: str) -> tuple[object, ...]:
        url = make_url(address)
        told = url.get_dialect()().create_connect_args(url)[1]  # with what stands behind the ?
        return told.get("host"), int(told.get("port") or 5432), told.get("dbname") or told.get("user")

    try:
        if place(one) == place(other):
            return True
    except (ArgumentError, ValueError):
        return False
    lock = {"lock": secrets.randbits(62)}
    with suppress(SQLAlchemyError, ImportError, UnicodeError):
        engines = (create_engine(address, poolclass=NullPool) for address in (one, other))
        with next(engines).connect() as first, next(engines).connect() as second:
            first.execute(text("select pg_advisory_xact_lock(:lock)"), lock)
            return not second.scalar(text("select pg_try_advisory_xact_lock(:lock)"), lock)
    return False


def refuse_other(address: str, named_by: str) -> None:
    """Raises UserError: the address of the search's database, which ``named_by`` gave, is not one of a PostgreSQL."""
    if not is_postgres(address):
        raise UserError(
            f"the search's database is asked for by {named_by} at {named(address)}, which is no {FORM}; without "
            "it the search is in a file in the study's folder"
        )


@contextmanager
def answering(address: str, what: str, table: str = "") -> Iterator[Connection]:
    """A PostgreSQL answers at ``address``, by this connection; inside the block no other process makes tables there.

    Args:
        what: The database is for, as the beginning of a sentence.
        table: One of those that are made there: the user must be allowed to write it, or to make it.

    Raises:
        UserError: the address is malformed, its driver is missing, nobody answers, or the user may not write there.
    """
    from sqlalchemy import NullPool, create_engine
    from sqlalchemy.exc import ArgumentError, DBAPIError

    os.environ.setdefault("PGCONNECT_TIMEOUT", str(ANSWER_S))  # a host that is away keeps silent for two minutes
    shown = named(address)
    _refuse_unclear(address, what)
    try:
        engine = create_engine(address, poolclass=NullPool)
    except ModuleNotFoundError as error:
        raise UserError(
            f"{what} is asked for at {shown}, and the driver '{error.name}' is not installed; install the extra: "
            "python3 -m uv sync --extra postgres (or pip install 'raytune-planes[postgres]')"
        ) from None
    except (ArgumentError, ValueError):
        raise UserError(f"{what} is asked for at {shown}, which is no {FORM}") from None
    if engine.dialect.is_async:
        raise UserError(f"{what} is asked for at {shown}, by a driver that cannot be used here; name none: {FORM}")
    try:
        connection = engine.connect()
    except (DBAPIError, UnicodeError) as error:  # UnicodeError: a host that no name can be
        why = (str(getattr(error, "orig", error)).strip() or "no reason").splitlines()[0]
        came = f" (the password came from {_password_of(address)})" if "password" in why else ""
        raise UserError(
            f"{what} does not answer at {shown}: {without_secrets(why)}{came}; start the server, or mend host, "
            "database and login (a password may stand in PGPASSWORD or ~/.pgpass as well)"
        ) from None
    with connection:
        if table:
            _refuse_unwritable(connection, table, f"{what} at {shown}")
        _lock_tables(connection, f"{what} at {shown}")
        yield connection


def _lock_tables(connection: Connection, what: str) -> None:
    """Wait until no other process makes tables there, which is told. Raises UserError: one does for too long."""
    from sqlalchemy import text

    lock = {"lock": MAKES_TABLES}
    with told_while(lambda: f"{what}: another process makes tables there, which is waited for"):
        until_s = time.monotonic() + TABLES_S
        while not connection.scalar(text("select pg_try_advisory_lock(:lock)"), lock):
            connection.commit()
            if time.monotonic() > until_s:
                raise UserError(
                    f"{what}: another process has been making tables there for {TABLES_S / 60:.0f} "
                    "minutes; end it (in PostgreSQL, pg_locks shows it by locktype advisory), then try again"
                )
            time.sleep(LOOK_S)


def _refuse_unwritable(connection: Connection, table: str, what: str) -> None:
    """Raises UserError: the server is read only, or its user may neither write the table nor make it."""
    from sqlalchemy import text

    asked = (
        "select current_user, current_database(), "
        "pg_is_in_recovery() or current_setting('transaction_read_only')::bool, "
        "to_regclass(:table) is not null, has_table_privilege(to_regclass(:table), 'INSERT'), "
        "has_schema_privilege(current_schema(), 'CREATE')"
    )
    user, database, is_read_only, is_there, may_write, may_make = connection.execute(
        text(asked), {"table": table}
    ).one()
    connection.commit()
    if is_read_only:
        raise UserError(
            f"{what} can only be read: the server is a copy of another one, or set so; name one that is written"
        )
    if not (may_write if is_there else may_make):
        wants = f"write the table '{table}'" if is_there else "make tables"
        raise UserError(
            f"{what} cannot be used by its user {user}, who may not {wants} there; log in as another user, or let the "
            f"database's owner give it to this one: ALTER DATABASE {database} OWNER TO {user}, or GRANT what is missing"
        )


def _password_of(address: str) -> str:
    """Where the password came from that the server refused, or that it missed."""
    from sqlalchemy import make_url

    url = make_url(address)
    if url.password or "password" in url.query:
        return "the address itself"
    if os.environ.get("PGPASSWORD"):
        return "PGPASSWORD"
    kept = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    return f"{kept}, if it has a line for it" if kept.is_file() else "nowhere: none was given"


FORM = "address of the form postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def _refuse_unclear(address: str, what: str) -> None:
    """Libraries would read another host or port from such a login, and repeat a part of it in their messages."""
    login, _, _ = address.partition("://")[2].rpartition("@")
    if letters := sorted({letter for letter in login if letter in "@/?#[]" or letter.isspace()}):
        raise UserError(
            f"{what} is asked for at {without_secrets(address)}, where {' and '.join(map(repr, letters))} before the "
            "last @ can be read in two ways; write such letters as percent and number, @ as %40, / as %2F, ? as %3F"
        )


def _without(address: str, mask: str, *, hides_rest: bool = False) -> str:
    scheme, parts, rest = address.partition("://")
    if not parts or scheme.partition("+")[0].lower() in OF_FILES:
        return address
    login, at, place = rest.rpartition("@")
    if SECRET.search(login):
        return f"{scheme}://***"
    if (found := SECRET.search(place)) and hides_rest:
        place = f"{place[: found.end()]}***"
    elif found:
        host, _, query = place.partition("?")
        kept = [part for part in query.split("&") if not SECRET.match(f"?{part}")]
        place = host + ("?" + "&".join(kept) if kept else "")
    return f"{scheme}://{mask if at else ''}{place}"
