"""Predict with a trained model: classes, masks, counts of planes, similarity to texts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytune_planes.commands.arguments import add_mlflow, place, place_or_address
from raytune_planes.commands.predict_fast import add_fast, benchmark, check_fast, device_of, put_in_place, video
from raytune_planes.errors import UserError, listed
from raytune_planes.paths import shortened, there
from raytune_planes.printing import counted, printable

if TYPE_CHECKING:
    from raytune_planes.serving.answers import Answer
    from raytune_planes.serving.predictor import Model

EXAMPLES = (
    "predict STUDY scene.jpg --out drawn --explain",
    "predict results/train/best.pt chip.png --dataset planesnet --json",
    "predict STUDY --video film.mp4 --dataset hrplanes > frames.jsonl",
    "predict STUDY --benchmark --batch 1,8,32 --dataset hrplanes",
)


DRAWN = "drawn"
"""Folder of the drawings that ``--explain`` makes without ``--out``."""
REGIONS = "-regions"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="a best.pt, a study (its best trial), an ensemble, runs:/ID or models:/NAME@ALIAS",
    )
    pictures = parser.add_argument(
        "pictures", nargs="+", default=[], type=place, metavar="IMAGE|FOLDER", help="pictures, or folders of them"
    )
    # "*" would be settled as none before an option, so that pictures behind one were refused.
    pictures.required = False
    parser.add_argument("--dataset", metavar="NAME", help="whose head answers (default: by the picture's size)")
    parser.add_argument(
        "--scale",
        type=float,
        metavar="FACTOR",
        help="pixels of a scene that stand for one of the scenes or chips that were learnt (default: 1)",
    )
    parser.add_argument(
        "--text", action="append", default=[], metavar="PROMPT", help="score this free text; can be repeated"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable")
    parser.add_argument("--out", type=place, metavar="DIR", help="draw each answer onto its picture, as PNG into DIR")
    parser.add_argument(
        "--explain",
        action="store_true",
        help=f"draw also into DIR (default: {DRAWN}) which regions speak for an answer's class, as NAME{REGIONS}.png, "
        "and where the pictures lie beside the prompts, as embeddings.png and .svg",
    )
    parser.add_argument(
        "--studies",
        type=place_or_address,
        default=Path("results"),
        metavar="DIR",
        help="folder of the studies (default: results)",
    )
    add_fast(parser)
    add_mlflow(parser, default="sqlite:///STUDIES/mlflow.db", experiment=False)


def run(args: argparse.Namespace) -> int:
    """Returns 1 when a picture could not be read; the others are answered all the same.

    Raises:
        UserError: no such model or dataset, or no picture at all could be read.
    """
    import json

    told: list[dict[str, Any]] = []
    failed: list[UserError] = []
    answers: list[Answer] = []

    def leave_out(error: UserError) -> None:
        failed.append(error)
        print(f"raytune-planes predict: left out: {error}", file=sys.stderr)

    check_fast(args)
    pictures = pictures_of(args.pictures, leave_out) if args.pictures else []
    from raytune_planes.serving.answers import answer

    model = _model(args)
    if args.benchmark:
        benchmark(args, model, pictures)
        return 0
    if args.video:
        return video(args, model)
    out = _folder(args)
    for path in pictures:
        try:
            found = answer(model, path, args.dataset, args.text, args.scale)
            drawn = _drawings(model, found, path, out, len(told), args) if out else {}
        except UserError as error:
            leave_out(error)
            continue
        told.append({"picture": str(path), **found.to_dict(), **drawn})
        answers.append(found)
        if not args.json:
            lines = [_in_words(path, found), *(f"  {key}: {printable(place)}" for key, place in drawn.items())]
            print("\n".join(lines), flush=True)
    if args.json:
        print(json.dumps(told, indent=1))
    if args.explain and out and answers:
        from raytune_planes.commands.predict_map import draw_map

        print(draw_map(model, answers, out), file=sys.stderr)
    if not told:
        raise UserError(f"none of {counted(len(failed), 'picture')} could be answered")
    if failed:
        print(f"{len(failed)} of {len(told) + len(failed)} pictures could not be answered", file=sys.stderr)
    return 1 if failed else 0


def _model(args: argparse.Namespace) -> Model:
    """The model that is named. Raises UserError: there is none, or it knows no such dataset or scale."""
    from raytune_planes.commands.find_model import IN_MLFLOW, find_model
    from raytune_planes.serving.learnt import check_scale
    from raytune_planes.serving.predictor import require
    from raytune_planes.tracking.mlflow_place import MlflowPlace

    if args.model.startswith(IN_MLFLOW) and (named := MlflowPlace.of(args.studies, args.tracking_uri).in_words()):
        print(named, file=sys.stderr)
    model = find_model(args.model, args.studies, args.tracking_uri, device_of(args))
    if args.scale is not None:
        check_scale(args.scale)
    if model.synthetic is None:
        print("This model's checkpoint does not tell whether it learnt synthetic pictures", file=sys.stderr)
    if args.dataset:
        require(args.dataset, model.infos)
    put_in_place(args, model)
    return model


def pictures_of(named: list[Path], left_out: Callable[[UserError], None]) -> list[Path]:
    """Files as given, and the pictures in each folder. Raises UserError: nothing of it is there."""
    from raytune_planes.datasets.files import PICTURES, walk

    found: list[Path] = []
    absent = [path for path in named if not there(path)]
    errors = [
        UserError(
            f"no file or folder {printable(path)}; give pictures ({' '.join(sorted(PICTURES))}, or others by content), "
            "or folders of them"
        )
        for path in absent
    ]
    if len(absent) == len(named):
        raise errors[0] if len(errors) == 1 else listed(map(str, errors), "pictures")
    for error in errors:
        left_out(error)
    for path in (p for p in named if p not in absent):
        inside = [p for p in walk(path, left_out) if p.suffix.lower() in PICTURES] if path.is_dir() else [path]
        if not inside:
            raise UserError(f"{path} holds no pictures ({', '.join(sorted(PICTURES))})")
        found += inside
    return found


def _folder(args: argparse.Namespace) -> Path | None:
    """Of the drawings, made; None where none are asked for."""
    folder: Path | None = args.out or (Path(DRAWN) if args.explain else None)
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}; choose another --out") from None
    return folder


def _drawings(
    model: Model, found: Answer, path: Path, folder: Path, number: int, args: argparse.Namespace
) -> dict[str, str]:
    """What each drawing of one answer shows -> where it is."""
    from raytune_planes.serving.overlay import NAME_BYTES, draw, draw_regions, save

    # Numbered: pictures of two folders may share a name.
    name = f"{number:04d}-{path.stem}"
    drawn = {"drawn": str(save(draw(found, path), folder, name))}
    if args.explain:
        from raytune_planes.serving.regions import explained, regions

        map_HW = regions(model, found, path, args.scale)
        # Shortened before the suffix: it must be told from the answer's own drawing.
        apart = shortened(name, NAME_BYTES - len(REGIONS)) + REGIONS
        drawn["regions"] = str(save(draw_regions(found, path, map_HW, explained(model, found)), folder, apart))
    return drawn


def _in_words(path: Path, found: Answer) -> str:
    size = f"{found.width}×{found.height}"
    cut = f"windows of {found.window:g} px" if found.window else "tiles"
    tiles = f", {found.tiles} {cut}" if found.tiles > 1 else ""
    lines = [f"{printable(path)}  ({size}{tiles}; dataset {found.dataset}, {found.chosen})"]
    if found.synthetic:
        lines.append(f"  by a model of SYNTHETIC pictures ({', '.join(found.synthetic)})")
    if found.count is not None:
        lines.append(f"  {found.count}")
    if found.mask is not None:
        lines.append(f"  {found.covered:.1%} of the picture under the mask, in {counted(len(found.planes), 'part')}")
    mean = ", mean of the tiles" if found.tiles > 1 else ""
    lines += [f"  {probability:7.4f}  {printable(label)}{mean}" for label, probability in found.labels]
    lines += [f"  {score:7.4f}  plane in {', '.join(f'{x:.0f}' for x in box)}" for box, score in found.boxes or ()]
    of = " (learnt from upright boxes)" if found.upright_labels else ""
    lines += [f"  {score:7.4f}  plane with corners {_points(corners)}{of}" for corners, score in found.oriented or ()]
    for text in found.texts:
        alone, share = f'"{printable(text.text)}" (similarity', text.probability
        lines.append(
            f"  {text.similarity:7.4f}  {alone} alone: one text has no probability)"
            if share is None
            else f"  {share:7.4f}  {alone} {text.similarity:.4f})"
        )
    return "\n".join(lines)


def _points(corners: Sequence[float]) -> str:
    return " ".join(f"({x:.0f}, {y:.0f})" for x, y in zip(corners[::2], corners[1::2], strict=True))
