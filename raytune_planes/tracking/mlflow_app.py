"""MLflow's server as ``ui`` starts it: its own, whose page begins on model training and asks a newcomer for nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

NAME = "raytune-planes"
"""Of the entry point in the group ``mlflow.app``, by which ``mlflow server --app-name`` finds ``create_app``."""
FIRST = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
    "mlflow.telemetry.info.alert.dismissed_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
}
"""What MLflow's page keeps in the browser, and has no setting of the server for: the menu, that the panel of the
assistant opened by itself once, that the note on telemetry was seen, and that the page sends none."""
UNASKED = (
    "div[data-assistant-ui]:has(> button)",
    'main section:has([data-component-id="mlflow.home.demo-banner.launch"])',
)
"""What MLflow offers on every page, or on its first, that has nothing to do with training, and no setting hides: the
floating button of the assistant, and the home page's demo and cards on language models. A later MLflow that names them
otherwise shows them."""
UNCACHED = (b"if-none-match", b"if-modified-since")
"""Headers by which a browser asks whether the page that it has is still good; that one may be MLflow's own."""


def create_app() -> App:
    """MLflow's app, with its login where a file of settings for that is named."""
    if "MLFLOW_AUTH_CONFIG_PATH" in os.environ:
        from mlflow.server.auth import create_app as with_login

        return beginning(with_login())
    from mlflow.server.fastapi_app import app

    return beginning(app)


def beginning(app: App) -> App:
    """``app``, whose first page sets ``FIRST`` in a browser that has no value for it: what a person chose stays."""

    async def served(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != "/" or scope["method"] != "GET":
            await app(scope, receive, send)
            return
        headers = [pair for pair in scope["headers"] if pair[0] not in UNCACHED]
        await app({**scope, "headers": headers}, receive, _Page(send).take)

    return served


class _Page:
    """Sends a response on when it is whole, with the script before all others of the page."""

    def __init__(self, send: Callable[[Message], Awaitable[None]]) -> None:
        self._send, self._start, self._body = send, dict[str, Any](), b""

    async def take(self, message: Message) -> None:
        if message["type"] != "http.response.body":
            self._start = dict(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False):
            return
        headers = [pair for pair in self._start["headers"] if pair[0].lower() not in (b"content-length", b"etag")]
        if any(name.lower() == b"content-type" and value.startswith(b"text/html") for name, value in headers):
            self._body = self._body.replace(b"<head>", b"<head>" + script().encode(), 1)
        headers.append((b"content-length", str(len(self._body)).encode()))
        await self._send({**self._start, "headers": headers})
        await self._send({"type": "http.response.body", "body": self._body})


def script() -> str:
    """The elements that set ``FIRST``, and hide what is ``UNASKED``."""
    values = json.dumps({key: json.dumps(value) for key, value in FIRST.items()})
    return (
        f"<style>{','.join(UNASKED)}{{display:none}}</style>"
        f"<script>for(const[k,v]of Object.entries({values}))localStorage.getItem(k)??localStorage.setItem(k,v)</script>"
    )
