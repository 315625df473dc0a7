"""``export --int8``: the file with 8-bit integers, and what it gains in size and speed and loses in accuracy."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.commands.arguments import place, place_or_address
from raytune_planes.commands.export_pictures import seen
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable

if TYPE_CHECKING:
    import numpy as np

    from raytune_planes.datasets.base import Arrays
    from raytune_planes.serving.exported import Exported
    from raytune_planes.serving.predictor import Predictor

CALIBRATE = 200
"""Pictures from which the ranges of activations are taken: a hundred or more is usual."""
BATCHES = (1, 8)


def add_int8(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("8-bit integers")
    group.add_argument(
        "--int8",
        action="store_true",
        help="weights and activations as 8-bit integers (onnx alone), with the accuracy that it costs on validation",
    )
    group.add_argument(
        "--data",
        type=place_or_address,
        metavar="DIR",
        help=f"the model's data: {CALIBRATE} training pictures calibrate, the validation split is judged",
    )
    group.add_argument(
        "--calibrate",
        nargs="+",
        type=place,
        default=[],
        metavar="IMAGE|FOLDER",
        help="other pictures that calibrate; without --data nothing is judged",
    )
    group.add_argument("--cache", type=place, metavar="DIR", help="of decoded pictures (default: one per user)")


def check_int8(args: argparse.Namespace) -> None:
    """Raises UserError: options that do not go together."""
    if args.int8 and args.format != "onnx":
        raise UserError(f"--int8 is written as onnx, not as {args.format}; give --format onnx, or leave out --int8")
    given = [name for name in ("data", "calibrate", "cache") if getattr(args, name)]
    if not args.int8 and given:
        raise UserError(f"--{given[0]} is for --int8; add it, or leave out --{given[0]}")


def write(args: argparse.Namespace, model: Predictor, dataset: str, pixels_NHWC: np.ndarray) -> None:
    """Write and print.

    Args:
        pixels_NHWC: On which the float file is held to the model, as every export is, and the 8-bit one compared.

    Raises:
        UserError: there are no pictures to calibrate with, or the model cannot be written so.
    """
    import numpy as np

    from raytune_planes.processors import allowed
    from raytune_planes.serving import exporting, int8
    from raytune_planes.serving.export_formats import say_more
    from raytune_planes.serving.exported import Exported

    arrays, seen_NHWC = _pictures(args, model, dataset)
    partial = args.out.with_name(f".{args.out.name}.{os.getpid()}")
    try:
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / "float.onnx"
            parity = exporting.export(model, dataset, "onnx", whole, pixels_NHWC, args.tolerance)
            int8.quantised(whole, partial, np.ascontiguousarray(seen_NHWC.transpose(0, 3, 1, 2)))
            both = [Exported(path, model, allowed()) for path in (whole, partial)]
            sizes = [path.stat().st_size for path in (whole, partial)]
            apart = exporting.compared(model, dataset, both[1].run, pixels_NHWC)
            part = sizes[1] / sizes[0]
            print(
                f"{printable(args.out)}: onnx of dataset {dataset} with 8-bit integers, {sizes[1] / 1e6:.1f} MB "
                f"({part:.0%} of the {sizes[0] / 1e6:.1f} MB with floats), calibrated on "
                f"{counted(len(seen_NHWC), 'picture')}"
            )
            print(
                f"difference from the model on {counted(parity.pictures, 'picture')}: floats, 8-bit (no limit is held)"
            )
            for name, difference in parity.differences.items():
                own = apart.differences[name]
                print(f"  {name:<14} {difference:.1e}  {own:.1e}   {exporting.OUTPUTS[name]}")
            judged = _tell_accuracy(model, arrays, both)
            say_more(partial, {"int8": {"calibrated_on": len(seen_NHWC), "validation": judged}})
            os.replace(partial, args.out)
            _tell_speed(model, both)
    finally:
        partial.unlink(missing_ok=True)


def _pictures(args: argparse.Namespace, model: Predictor, dataset: str) -> tuple[Arrays | None, np.ndarray]:
    """The dataset where it is at hand, and what the model sees of the pictures that calibrate: uint8 [N, S, S, 3].

    Those of the training split are spread evenly over it.
    """
    import numpy as np

    arrays = _arrays(args, model, dataset)
    if args.calibrate:
        return arrays, seen(model, dataset, args.calibrate, CALIBRATE, "--calibrate")
    if arrays is None:
        raise UserError(
            "8-bit integers need pictures that tell the range of each activation: name the model's data with --data "
            "DIR, which also measures what accuracy is lost, or other pictures with --calibrate IMAGE|FOLDER"
        )
    train_N = np.asarray(arrays.splits["train"])
    some_N = train_N[np.unique(np.linspace(0, len(train_N) - 1, CALIBRATE).astype(np.int64))]
    return arrays, model.learnt[dataset].seen.pixels(np.asarray(arrays.images_NHWC[some_N]))


def _arrays(args: argparse.Namespace, model: Predictor, dataset: str) -> Arrays | None:
    from raytune_planes.datasets.folds import parted
    from raytune_planes.preparation.data import data_folder, open_data
    from raytune_planes.settings import flatten, make_config, only

    drawn = dataset in (model.synthetic or ())
    if args.data is None and not drawn and not model.config.datasets[dataset].root:
        return None
    tree = flatten(model.config)
    config = make_config(tree, only([dataset], tree))
    opened = open_data(
        config, data_folder(args.data, args.cache), args.cache, lambda said: print(said, file=sys.stderr)
    )
    return parted(opened[dataset], model.config.split)


def _tell_accuracy(model: Predictor, arrays: Arrays | None, both: list[Exported]) -> dict[str, list[float]]:
    """Print it. Returns for each metric the value by floats and by 8 bits; nothing where there is no data."""
    from raytune_planes.report.formatting import shown, signed, table
    from raytune_planes.serving.file_judging import lost

    if arrays is None:
        print("what accuracy is lost is not known: --data DIR, the model's data, measures it on the validation split")
        return {}
    rows, values = [], {}
    for each in lost(model, arrays, both[0], both[1]):
        ends = "" if each.interval is None else f"{signed(each.interval[0])} to {signed(each.interval[1])}"
        change = signed(each.after - each.before)
        values[each.metric] = [each.before, each.after]
        rows.append([f"val {each.metric}", shown(each.before), shown(each.after), change, ends, str(each.count)])
    head = ["on validation", "floats", "8-bit", "change", "95 %", "pictures or scenes"]
    print("\n".join(table(head, rows, right=range(1, 6))))
    return values


def _tell_speed(model: Predictor, both: list[Exported]) -> None:
    from raytune_planes.processors import allowed
    from raytune_planes.serving.file_judging import speed

    side = both[0].side
    threads = counted(allowed(), "thread")
    print(f"pictures of {side} px a second, the network alone in ONNX Runtime with {threads}: floats, 8-bit")
    for (batch, before), (_, after) in zip(*(speed(file, model, BATCHES) for file in both), strict=True):
        print(f"  batch {batch:<3} {before:>10.1f} {after:>10.1f}   ({after / before:.2f} times)")
