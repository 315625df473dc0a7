"""MLflow's own login for its server: on a host with other users, everybody on it reaches loopback."""

from __future__ import annotations

import base64
import os
import secrets
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from raytune_planes.errors import UserError
from raytune_planes.paths import sqlite_address
from raytune_planes.tracking.files import write_whole

USER, PASSWORD = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"
"""Where MLflow's clients look for their login; the server takes the same, so that both are set once."""
SHORTEST = 12
"""Letters of a password: as many as MLflow's own clients ask of one."""
SETTINGS, USERS = "mlflow-login.ini", "mlflow-login.db"
"""In the results: how MLflow asks for a login, without any secret, and its users with hashes of their passwords."""
INI = """\
[mlflow]
default_permission = NO_PERMISSIONS
database_uri = {users}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


class Login(NamedTuple):
    """Who is let in."""

    user: str
    password: str


def read_login() -> Login:
    """The login that the environment names. Raises UserError when it names none, or a short password."""
    user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    if not user or len(password) < SHORTEST:
        raise UserError(
            f"--login needs a user and a password, and {USER} and {PASSWORD} do not name them; set both, the "
            f"password with {SHORTEST} letters or more. Clients on this host (tune, sync, predict) read the same two"
        )
    return Login(user, password)


def server_settings(login: Login, out: Path) -> dict[str, str]:
    """The environment with which MLflow's server asks for ``login``; its users are kept in ``out``, for this user."""
    users = (out / USERS).resolve()
    users.touch(mode=0o600)
    users.chmod(0o600)
    write_whole(out / SETTINGS, INI.format(users=sqlite_address(users).replace("%", "%%")))
    return {
        "MLFLOW_AUTH_CONFIG_PATH": str((out / SETTINGS).resolve()),
        "MLFLOW_AUTH_ADMIN_USERNAME": login.user,
        "MLFLOW_AUTH_ADMIN_PASSWORD": login.password,
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_hex(32),
    }


def check_login(base: str, login: Login, out: Path) -> None:
    """Ask the server at ``base`` with ``login``: users are made once, and a password given later does not count.

    Raises:
        UserError: it does not let the user in.
    """
    try:
        with urllib.request.urlopen(request(f"{base}/api/2.0/mlflow/users/current", login), timeout=30):
            return
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):
            raise
        error.close()
        raise UserError(
            f"MLflow knows the user '{login.user}' by another password, that of the first start with --login; give "
            f"that one, or delete {out / USERS}, which holds users and no results"
        ) from None


def request(address: str, login: Login | None) -> urllib.request.Request:
    """A request to ``address``, as ``login`` where there is one."""
    prepared = urllib.request.Request(address)
    if login:
        both = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        prepared.add_header("Authorization", f"Basic {both}")
    return prepared
