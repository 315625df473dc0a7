"""The search of a study in a database that many studies share: under a name that no other study has."""

from __future__ import annotations

import json
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.addresses import answering, is_postgres, refuse_other, same_database, without_login, without_secrets
from raytune_planes.errors import UserError
from raytune_planes.tracking import files
from raytune_planes.tuning.patient import Patient

FILE = "search.json"
"""In the study's folder: under which name its search is kept, and where."""
WHAT = "the search's database"


def refuse_away(address: str, mlflow: str = "", named_by: str = "--search-db") -> None:
    """Raises UserError: ``address`` is not one of a PostgreSQL, nobody answers there, or ``mlflow`` is the same one.

    Args:
        named_by: The option or variable that names ``address``.
    """
    refuse_other(address, named_by)
    with answering(address, f"{WHAT} (from {named_by})", "studies"):
        pass
    if is_postgres(mlflow) and same_database(address, mlflow):
        raise UserError(
            f"the search and MLflow are both asked for in {without_secrets(address)}, and each of them keeps its own "
            "version in a table of one name; make a second database on that server (createdb) and name it to one of "
            "them: --search-db or --tracking-uri"
        )


@dataclass
class SharedDatabase:
    """One study's part of the database at ``address``.

    Its name there ends with letters drawn at random, which the folder keeps: two people may give their studies one
    name. A folder that was copied or moved gets a name of its own, and its search is made again from the records, so
    that the copy and what it was copied from stay two studies.
    """

    address: str
    parent: Path
    """The study's folder."""
    name: str
    """The study's name, for people."""

    def __post_init__(self) -> None:
        self.study = self._kept() or self._new()

    def __str__(self) -> str:
        return f"study {self.study} in {without_secrets(self.address)}"

    @property
    def missing(self) -> str:
        """That the folder's search is not here, in words."""
        return f"{without_secrets(self.address)} holds no search of {self.parent} yet"

    def exists(self) -> bool:
        """Whether the folder says that its search is here."""
        return bool(self._kept())

    def set_aside(self) -> str:
        """Leave what is there and take another name; returns the one before."""
        before = self.study if self.exists() else ""
        self.study = self._new()
        return before

    def open(self) -> Patient:
        """Raises UserError where nobody answers."""
        with answering(self.address, WHAT):
            return Patient(self.address, without_secrets(self.address), _client(self.study))

    def keep(self) -> None:
        """Note the name in the folder, once the study is there."""
        if self._kept() != self.study:
            self.parent.mkdir(parents=True, exist_ok=True)
            files.save_json(self.parent / FILE, {**self._place(), "study": self.study})

    def _kept(self) -> str:
        with suppress(OSError, ValueError, TypeError, KeyError):
            known = json.loads((self.parent / FILE).read_bytes())
            here, there = self._place(), {key: str(known[key]) for key in self._place()}
            other_host = {**there, "folder": f"{socket.gethostname()}:{there['folder'].partition(':')[2]}"} == here
            if there == here or (other_host and not self._is_driven(str(known["study"]))):
                return str(known["study"])
        return ""

    def _is_driven(self, study: str) -> bool:
        """Whether a client of this name is connected: a host whose name has changed drives its study no more, but the
        folder may also be a copy on another host."""
        from sqlalchemy import text

        asked = text("select count(*) from pg_stat_activity where application_name = :name")
        with answering(self.address, WHAT) as connection:
            return bool(connection.scalar(asked, {"name": _client(study)}))

    def _new(self) -> str:
        return f"{self.name}-{secrets.token_hex(6)}"

    def _place(self) -> dict[str, str]:
        here = f"{socket.gethostname()}:{self.parent.resolve()}"
        return {"database": without_login(self.address), "folder": here}


def _client(study: str) -> str:
    """What the driver of a study is called where the server lists its clients; short enough for every server."""
    return f"raytune-planes {study[-40:]}"
