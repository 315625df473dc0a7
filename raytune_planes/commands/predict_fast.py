"""``predict --benchmark`` and ``predict --video``: how fast a model answers, and frames at that speed."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.commands.arguments import at_least, place
from raytune_planes.errors import UserError
from raytune_planes.printing import counted

if TYPE_CHECKING:
    from raytune_planes.serving.predictor import Model

BATCHES, SIDE = (1, 8, 32), 640
VIDEO_BATCH = 8


def add_fast(parser: argparse.ArgumentParser) -> None:
    """The options of both."""
    fast = parser.add_argument_group("real time")
    fast.add_argument(
        "--video",
        type=place,
        metavar="FILE|FOLDER",
        help="answer every frame of a video (extra 'video'), or of a folder in the order of names, as a line of JSON",
    )
    fast.add_argument(
        "--rate", type=at_least(0.001, float), metavar="N", help="frames a second of such a folder, for the times told"
    )
    fast.add_argument(
        "--benchmark",
        action="store_true",
        help="measure pictures a second by batch: of the network, and of whole frames (IMAGEs, or noise)",
    )
    fast.add_argument(
        "--batch",
        type=_numbers,
        metavar="N[,N…]",
        help=f"pictures that the model sees together (default: {','.join(map(str, BATCHES))} with --benchmark, "
        f"{VIDEO_BATCH} with --video)",
    )
    fast.add_argument(
        "--size", type=at_least(16), metavar="PIXELS", help=f"side of the measured frames (default: {SIDE})"
    )
    fast.add_argument(
        "--threads",
        type=at_least(1),
        metavar="N",
        help="of the CPU for both (default: as many as this process has processors)",
    )
    fast.add_argument(
        "--exported",
        type=place,
        metavar="FILE",
        help="an onnx file that 'export' wrote of this model (--int8 too) answers in the network's place",
    )
    fast.add_argument("--device", choices=("cpu", "cuda"), help="for both (default: a GPU if there is one)")


def check_fast(args: argparse.Namespace) -> None:
    """Raises UserError: options that do not go together."""
    if args.exported and (args.explain or args.device == "cuda"):
        needs = "--explain" if args.explain else "--device cuda"
        raise UserError(f"--exported runs a file on the CPU, and {needs} needs the network; leave one of them out")
    if args.video and args.benchmark:
        raise UserError("--video answers frames and --benchmark measures; give one of them")
    own = ("rate", "batch", "size", "threads", "device")
    given = [f"--{name}" for name in own if getattr(args, name) is not None]
    if not args.video and not args.benchmark:
        if given:
            raise UserError(f"{given[0]} is for --video or --benchmark; give one of them, or leave it out")
        if not args.pictures:
            raise UserError("no pictures; give IMAGE or FOLDER, --video FILE|FOLDER, or --benchmark")
        return
    mode = "--video" if args.video else "--benchmark"
    other = ["--rate"] if args.benchmark else ["--size"]
    beside = [*other, "--out", "--explain", *(["--text", "--scale", "--json"] if args.benchmark else [])]
    if extra := [name for name in beside if getattr(args, name.removeprefix("--"))]:
        raise UserError(f"{mode} takes no {extra[0]}; leave it out")
    if args.video and args.pictures:
        raise UserError("--video takes the place of IMAGE; leave one of them out")
    if args.video and args.batch and len(args.batch) > 1:
        raise UserError("--video needs one number for --batch; several are for --benchmark")


def benchmark(args: argparse.Namespace, found: Model, pictures: list[Path]) -> None:
    """Prints the table, a row as soon as it is measured. Raises UserError: the model is an ensemble, or no dataset is
    named."""
    import torch

    from raytune_planes.commands.find_model import one_head
    from raytune_planes.processors import allowed
    from raytune_planes.serving.speed import ROUNDS, speeds

    model, dataset = one_head(found, args.model, args.dataset, "measure", "speed is that of one head")
    model.threads = args.threads or allowed()
    by = model.in_place.get(dataset) or f"torch {torch.__version__}"
    card = torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else ""
    place = f"GPU {card}" if card else f"CPU, {counted(min(model.threads, allowed()), 'thread')}"
    kind = model.config.model.backbone.kind
    print(f"dataset {dataset}, encoder {kind}; {place}; {by}")
    print(f"pictures a second: median of {ROUNDS} rounds, in brackets the slowest and the fastest")
    print(f"{'what':<28}{'px':>6}{'batch':>7}{'a second':>12}")
    for each in speeds(model, dataset, args.batch or BATCHES, args.size or SIDE, pictures):
        numbers = f"{each.side:>6}{each.batch:>7}{each.per_second:>12.1f}"
        print(f"{each.what:<28}{numbers}  ({each.slowest:.1f} to {each.fastest:.1f})", flush=True)


def video(args: argparse.Namespace, model: Model) -> int:
    """Prints a line of JSON for each frame. Returns 1 when one could not be answered.

    Raises:
        UserError: there is no such video or folder, it cannot be read, or no frame can be answered.
    """
    from raytune_planes.processors import allowed
    from raytune_planes.serving.batches import Asked
    from raytune_planes.serving.frames import answered, frames_of
    from raytune_planes.serving.predictor import Predictor

    if isinstance(model, Predictor):
        model.threads = args.threads or allowed()
    (batch,) = args.batch or (VIDEO_BATCH,)
    frames, asked = frames_of(args.video, args.rate), Asked(b"", args.dataset, tuple(args.text), args.scale)
    began, told, failed = time.perf_counter(), 0, 0
    for frame, found in answered(model, frames, batch, asked):
        line: dict[str, Any] = {"frame": frame.number, "time": frame.time}
        if frame.file is not None:
            line["file"] = frame.file
        told += 1
        failed += isinstance(found, UserError)
        line |= {"error": str(found)} if isinstance(found, UserError) else found.to_dict()
        print(json.dumps(line), flush=True)
    took = time.perf_counter() - began
    if failed == told:
        raise UserError(f"none of {counted(told, 'frame')} could be answered")
    print(f"{counted(told, 'frame')} in {took:.1f} s: {told / took:.1f} a second", file=sys.stderr)
    if failed:
        print(f"{failed} of {counted(told, 'frame')} could not be answered", file=sys.stderr)
    return 1 if failed else 0


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(at_least(1)(part)) for part in text.split(","))


def put_in_place(args: argparse.Namespace, model: Model) -> None:
    """Let the file of ``--exported`` answer for its dataset. Raises UserError: it is none of this model's."""
    if args.exported is None:
        return
    from raytune_planes.processors import allowed
    from raytune_planes.serving.exported import Exported
    from raytune_planes.serving.predictor import Predictor

    if not isinstance(model, Predictor):
        raise UserError("--exported takes the place of one model's network, and an ensemble has several; leave it out")
    file = Exported(args.exported, model, args.threads or allowed())
    if args.dataset and args.dataset != file.dataset:
        raise UserError(
            f"the file of --exported answers for dataset '{file.dataset}', not for '{args.dataset}'; leave out one"
        )
    args.dataset = file.dataset
    model.in_place = {file.dataset: file}


def device_of(args: argparse.Namespace) -> str:
    """Where the model computes: as asked, or ``auto``."""
    return args.device or ("cpu" if args.exported else "auto")
