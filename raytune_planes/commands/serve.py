"""Serve a trained model over HTTP on this machine: JSON answers, and a page to drop a picture on."""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from raytune_planes.commands.arguments import add_mlflow, at_least, place_or_address

EXAMPLES = ("serve STUDY", "serve results/train/best.pt --port 8001 --max-mb 5")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a best.pt, a study (its best trial), an ensemble, runs:/ID or models:/NAME@ALIAS",
    )
    parser.add_argument(
        "--port", type=at_least(0), default=8000, metavar="N", help="0 for any free one (default: 8000)"
    )
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        metavar="ADDRESS",
        help="to listen on (default: 127.0.0.1, which this machine alone reaches; there is no login)",
    )
    limits = parser.add_argument_group("limits: what goes beyond is refused")
    limits.add_argument(
        "--max-mb", type=at_least(0.01, float), default=20.0, metavar="X", help="of a file (default: 20)"
    )
    limits.add_argument(
        "--max-megapixels", type=at_least(0.01, float), default=50.0, metavar="X", help="of a picture (default: 50)"
    )
    limits.add_argument(
        "--waiting", type=at_least(1), default=32, metavar="N", help="requests that may wait (default: 32)"
    )
    limits.add_argument(
        "--batch", type=at_least(1), default=16, metavar="N", help="waiting pictures answered together (default: 16)"
    )
    parser.add_argument(
        "--studies",
        type=place_or_address,
        default=Path("results"),
        metavar="DIR",
        help="where studies lie (default: results)",
    )
    add_mlflow(parser, default="sqlite:///STUDIES/mlflow.db", experiment=False)


def run(args: argparse.Namespace) -> int:
    """Raises UserError: no such model, or the port cannot be used."""
    from raytune_planes.commands.find_model import find_model
    from raytune_planes.serving import http

    limits = http.Limits(int(args.max_mb * 1e6), int(args.max_megapixels * 1e6), args.waiting, args.batch)
    is_loopback = args.host in http.LOOPBACK
    with contextlib.closing(http.listening(args.host, args.port)) as listener:  # before the model is read
        model = find_model(args.model, args.studies, args.tracking_uri)
        app = http.application(model, limits, http.LOOPBACK if is_loopback else ("*",))
        host = f"[{args.host}]" if ":" in args.host else args.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        print(f"Model of {', '.join(model.infos)}: {address}", flush=True)
        if not is_loopback:
            print("Everybody who reaches this address may ask: there is no login", flush=True)
        print(
            f"Drop a picture on that page, or: curl --data-binary @photo.jpg '{address}/predict'. Ctrl-C ends it.",
            flush=True,
        )
        with contextlib.suppress(KeyboardInterrupt):
            http.server(app, limits).run(sockets=[listener])
    return 0
