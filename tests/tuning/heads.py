"""Programs at an address, for the tests of what a study joins: a head of Ray as its clients see it, and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from raytune_planes.tuning.joining import ALIVE


@contextmanager
def ray_head(refuse: Callable[[], grpc.StatusCode | None], question: str = ALIVE) -> Iterator[str]:
    """A server that answers ``question`` of Ray's protocol, or refuses with a status; gives its address."""

    def answer(_: bytes, context: Any) -> bytes:
        if status := refuse():
            context.abort(status, "refused")
        return b""

    service, method = question.strip("/").split("/")
    handlers = {method: grpc.unary_unary_rpc_method_handler(answer)}
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()
