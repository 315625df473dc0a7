"""A model over HTTP: the answers of ``predict`` as JSON, and a page to drop a picture on. starlette's only home."""

from __future__ import annotations

import asyncio
import base64
import io
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from raytune_planes import __version__
from raytune_planes.datasets import images
from raytune_planes.errors import UserError
from raytune_planes.serving.answers import Answer
from raytune_planes.serving.batches import Asked
from raytune_planes.serving.desk import Busy, Desk
from raytune_planes.serving.overlay import draw
from raytune_planes.serving.predictor import Model

HOST = "127.0.0.1"
LOOPBACK = ("127.0.0.1", "localhost")
"""Names by which this machine calls itself: a page elsewhere that has its name point here is refused."""
UPLOAD_S = 30.0
"""An upload that takes longer is given up."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""What the page may load: itself alone."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
PAGE = {
    "/": ("page.html", "text/html"),
    "/page.js": ("page.js", "text/javascript"),
    "/page.css": ("page.css", "text/css"),
}
MOST_TEXTS = 20
TEXT_CHARS = 500


@dataclass(frozen=True)
class Limits:
    """What one server takes upon itself."""

    bytes: int = 20_000_000
    """Of a picture's file."""
    pixels: int = 50_000_000
    """Of a picture."""
    waiting: int = 32
    """Requests that wait for their answer; more are told to come back."""
    batch: int = 16
    """Pictures in one pass of the model."""


def application(model: Model, limits: Limits, hosts: tuple[str, ...] = LOOPBACK) -> Starlette:
    """The server's routes.

    Args:
        hosts: Names by which it may be called; ``*`` for any.
    """
    desk = Desk(model, batch=limits.batch, waiting=limits.waiting)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with desk.open():
            yield

    async def predict(request: Request) -> Response:
        _refuse_foreign(request)
        asked = _asked(request.query_params, await _body(request, limits.bytes))
        width, height = images.size_of(asked.source)
        if width * height > limits.pixels:
            raise HTTPException(413, f"a picture may have {limits.pixels:,} pixels, and this has {width}×{height}")
        assert isinstance(asked.source, bytes), "what was sent"
        answer = await desk.ask(asked)
        extra = await asyncio.to_thread(_pictures, answer, asked.source, request.query_params)
        return _json({**answer.to_dict(), **extra})

    async def about(request: Request) -> Response:
        return _json(_about(model, limits))

    async def health(request: Request) -> Response:
        return _json({"status": "ok"})

    async def page(request: Request) -> Response:
        name, kind = PAGE[request.url.path]
        return Response(files(__package__).joinpath(name).read_bytes(), media_type=kind, headers=HEADERS)

    app = Starlette(
        routes=[
            Route("/predict", predict, methods=["POST"]),
            Route("/about", about),
            Route("/health", health),
            *(Route(path, page) for path in PAGE),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
        exception_handlers={HTTPException: _refused, UserError: _mistaken, Busy: _busy, Exception: _failed},
        lifespan=lifespan,
    )
    app.state.desk = desk
    return app


def listening(host: str, port: int) -> socket.socket:
    """A socket on this port, 0 for any. Raises UserError: it cannot be used."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who asks before the server runs, waits for it
    except OSError as error:
        listener.close()
        raise UserError(
            f"port {port} of {host} cannot be used ({error.strerror}); choose another with --port"
        ) from None
    return listener


def server(app: Starlette, limits: Limits) -> uvicorn.Server:
    """What serves ``app``; ``run(sockets=[...])`` ends on SIGINT or SIGTERM."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=limits.waiting + limits.batch,
        timeout_graceful_shutdown=5,
    )
    return uvicorn.Server(config)


def _refuse_foreign(request: Request) -> None:
    """A page from elsewhere may not have its visitor's browser ask."""
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise HTTPException(403, "pages of other addresses may not ask this server")


async def _body(request: Request, most: int) -> bytes:
    if request.headers.get("content-type", "").startswith("multipart/"):
        raise HTTPException(415, "send the bytes of the picture's file as the body: curl --data-binary @photo.jpg")
    too_large = HTTPException(413, f"a picture's file may have {most / 1e6:g} MB")
    if int(request.headers.get("content-length") or 0) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(UPLOAD_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise HTTPException(408, f"the picture did not arrive within {UPLOAD_S:g} s") from None
    if not body:
        raise HTTPException(400, "no picture: send the bytes of its file as the body")
    return bytes(body)


def _asked(query: Any, body: bytes) -> Asked:
    if unknown := set(query) - {"dataset", "scale", "text", "drawn", "mask"}:
        raise HTTPException(
            400, f"no parameter {', '.join(sorted(unknown))}; there are dataset, scale, text, drawn, mask"
        )
    texts = tuple(query.getlist("text"))
    if len(texts) > MOST_TEXTS or any(len(text) > TEXT_CHARS for text in texts):
        raise HTTPException(400, f"at most {MOST_TEXTS} texts of {TEXT_CHARS} characters")
    try:
        scale = float(query["scale"]) if query.get("scale") else None
    except ValueError:
        raise HTTPException(400, f"scale={query['scale']!r:.40} is no number") from None
    return Asked(body, query.get("dataset") or None, texts, scale)


def _pictures(answer: Answer, source: bytes, query: Mapping[str, str]) -> dict[str, str]:
    """The answer drawn onto its picture, and the mask in grey, where they are asked for: PNG as data addresses."""
    drawn = {"drawn": _address(draw(answer, source))} if query.get("drawn") == "true" else {}
    if query.get("mask") != "true" or answer.mask is None:
        return drawn
    return {**drawn, "mask": _address(Image.fromarray(np.rint(answer.mask * 255).astype(np.uint8)))}


def _address(picture: Image.Image) -> str:
    kept = io.BytesIO()
    picture.save(kept, "PNG")
    return f"data:image/png;base64,{base64.b64encode(kept.getvalue()).decode()}"


def _about(model: Model, limits: Limits) -> dict[str, Any]:
    return {
        "raytune_planes": __version__,
        "datasets": {
            name: {"classes": list(info.classes), "reads": str(model.learnt[name])}
            for name, info in model.infos.items()
        },
        "synthetic": None if model.synthetic is None else list(model.synthetic),
        "limits": {"bytes": limits.bytes, "pixels": limits.pixels, "waiting": limits.waiting, "batch": limits.batch},
    }


def _json(content: Mapping[str, Any], status: int = 200, **headers: str) -> JSONResponse:
    return JSONResponse(content, status, {**HEADERS, **headers})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"error": error.detail}, error.status_code, **(error.headers or {}))


async def _mistaken(request: Request, error: Exception) -> Response:
    """A message for a command line, in the words of an address."""
    return _json({"error": re.sub(r"--(dataset|scale) (?=\S)", r"\1=", str(error)).replace("--", "")}, 400)


async def _busy(request: Request, error: Exception) -> Response:
    return _json({"error": "too many requests wait already; try again in a moment"}, 503, **{"Retry-After": "1"})


async def _failed(request: Request, error: Exception) -> Response:
    return _json({"error": "the server failed on this picture; its log says why"}, 500)
