"""Write a trained model as one file for other programs (ONNX, torch.export, TorchScript), checked beside the model."""

from __future__ import annotations

import argparse
from pathlib import Path

from raytune_planes.commands.arguments import add_mlflow, at_least, place, place_or_address
from raytune_planes.commands.export_int8 import add_int8, check_int8, write
from raytune_planes.commands.export_pictures import seen
from raytune_planes.errors import UserError
from raytune_planes.printing import counted, printable

EXAMPLES = (
    "export STUDY --dataset fgvc --format onnx --out fgvc.onnx --pictures DIR/fgvc-aircraft-2013b/data/images",
    "export STUDY --dataset fgvc --format onnx --out small.onnx --int8 --data DIR",
    "export results/train/best.pt --dataset planesnet --format torchscript --out planesnet.ts",
)
FORMATS = ("onnx", "torch.export", "torchscript")
PICTURES = 50


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="a best.pt, a study (its best trial), runs:/ID or models:/NAME@ALIAS"
    )
    parser.add_argument("--format", required=True, choices=FORMATS, help="kind of file; onnx needs the extra 'export'")
    parser.add_argument("--out", required=True, type=place, metavar="FILE", help="file to write")
    parser.add_argument("--dataset", metavar="NAME", help="whose head answers (default: the only one)")
    parser.add_argument(
        "--pictures",
        nargs="+",
        type=place,
        default=[],
        metavar="IMAGE|FOLDER",
        help=f"pictures on which the file is compared with the model, the first {PICTURES} of them (default: noise)",
    )
    parser.add_argument(
        "--tolerance",
        type=at_least(0, float),
        default=1e-4,
        metavar="X",
        help="refuse a file that differs by more in any answer (default: 0.0001)",
    )
    parser.add_argument(
        "--studies",
        type=place_or_address,
        default=Path("results"),
        metavar="DIR",
        help="where studies lie (default: results)",
    )
    add_int8(parser)
    add_mlflow(parser, default="sqlite:///STUDIES/mlflow.db", experiment=False)


def run(args: argparse.Namespace) -> int:
    """Raises UserError: no such model, the format's packages are missing, or the file would answer otherwise."""
    from raytune_planes.commands.find_model import find_model, one_head
    from raytune_planes.serving import exporting
    from raytune_planes.serving.export_formats import needed

    check_int8(args)
    needed(args.format)
    found = find_model(args.model, args.studies, args.tracking_uri, "cpu")
    model, dataset = one_head(found, args.model, args.dataset, "export", "a file answers for one dataset")
    if args.out.is_dir():
        raise UserError(f"{printable(args.out)} is a folder; name the file to write with --out")
    if not args.out.absolute().parent.is_dir():
        raise UserError(
            f"no folder {printable(args.out.parent)} to write {printable(args.out.name)} into; make it first"
        )
    pixels_NHWC = (
        seen(model, dataset, args.pictures, PICTURES, "--pictures")
        if args.pictures
        else exporting.noise(model, dataset, PICTURES)
    )
    if args.int8:
        write(args, model, dataset, pixels_NHWC)
        return 0
    parity = exporting.export(model, dataset, args.format, args.out, pixels_NHWC, args.tolerance)
    kind = "" if args.pictures else " of noise (--pictures names real ones)"
    print(f"{printable(args.out)}: {args.format} of dataset {dataset}, {args.out.stat().st_size / 1e6:.1f} MB")
    print(f"largest difference from the model on {counted(parity.pictures, 'picture')}{kind}: {parity.largest:.1e}")
    for name, difference in parity.differences.items():
        print(f"  {name:<12} {difference:.1e}   {exporting.OUTPUTS[name]}")
    return 0
