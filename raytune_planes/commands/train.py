"""Train one configuration, without a search."""

from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from raytune_planes.commands.arguments import (
    add_data,
    add_mlflow,
    add_set,
    assigned,
    at_least,
    place_or_address,
)
from raytune_planes.commands.script_output import (
    ScriptOutput,
    add_script_output,
    refuse_script_output,
    with_script_output,
)

if TYPE_CHECKING:
    from raytune_planes.records import Goal

EXAMPLES = (
    "train --data DIR --test",
    "train --config results/STUDY/best.yaml --data DIR",
    "train --set budget.epochs=5 --print-config",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=place_or_address,
        metavar="FILE",
        help="saved settings, e.g. a study's best.yaml, also at s3://BUCKET/PREFIX/STUDY/best.yaml",
    )
    add_set(parser)
    add_data(parser)
    parser.add_argument(
        "--out",
        type=place_or_address,
        metavar="DIR",
        help="folder of the run, or s3://BUCKET/PREFIX/NAME, gs://…, az://… (default: results/train, or "
        "results/train-2 and so on where that holds one already; with --resume the latest of them)",
    )
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint under --out")
    parser.add_argument(
        "--folds", type=at_least(2), metavar="K", help="train once per fold: mean and spread of K folds"
    )
    add_mlflow(parser, default="nowhere: files hold all of it")
    parser.add_argument(
        "--print-config", action="store_true", help="print every setting as a file for --config, and train nothing"
    )
    parser.add_argument("--test", action="store_true", help="evaluate the best epoch on the test split at the end")
    add_script_output(parser)


def run(args: argparse.Namespace) -> int:
    if args.print_config:
        refuse_script_output(args, "--print-config")
    return with_script_output(args, lambda out: _continued(args, out))


def _continued(args: argparse.Namespace, out: ScriptOutput) -> int:
    """Says after Ctrl-C how the training goes on, where it has something to go on from."""
    from raytune_planes.tracking.files import LAST

    try:
        return _run(args, out)
    except KeyboardInterrupt:
        if out.folder and any(out.folder.rglob(LAST)):
            print(f"Continue it with the same command{'' if args.resume else ' and --resume'}")
        raise


def _run(args: argparse.Namespace, out: ScriptOutput) -> int:
    from raytune_planes.commands.folds_run import train_folds
    from raytune_planes.commands.training_folder import numbered_folder
    from raytune_planes.commands.training_run import TrainingRun
    from raytune_planes.commands.training_tracking import named_place
    from raytune_planes.config import cautions
    from raytune_planes.datasets.fetching import fetched
    from raytune_planes.errors import UserError
    from raytune_planes.model import check_encoder
    from raytune_planes.settings import flatten, load, make_config
    from raytune_planes.tracking.jsonl import dotted_yaml
    from raytune_planes.training.workers import pick_device

    layers = [load(args.config)] if args.config else []
    config = make_config(*layers, assigned(args, *layers))
    for caution in cautions(config):
        print(f"Warning: {caution}", file=sys.stderr if args.print_config else None)
    if args.print_config:
        print(dotted_yaml(flatten(config), "every setting of one training, for --config"), end="")
        return 0
    for _, stage in config.staged:  # refused before anything is fetched or a folder is told
        pick_device(stage.devices.vision)
        check_encoder(stage.model.backbone)
    data = fetched(args.data, args.cache, limit_gib=args.cache_limit)
    is_new = args.out is None and not args.resume
    out.folder = args.out = args.out or numbered_folder(resume=args.resume)
    goal = _goal_of_study(args.config)
    place = named_place(args.out, args.tracking_uri, args.experiment)
    if place and (message := place.in_words()):
        print(message)
    where = {
        "place": place,
        "data": data,
        "cache": args.cache,
        "cache_limit_gib": args.cache_limit,
        "test": args.test,
    }
    try:
        if args.folds:
            return train_folds(config, args.out, args.folds, resume=args.resume, goal=goal, lines=out.lines, **where)
        return TrainingRun(config, args.out, resume=args.resume, lines=out.lines).train(goal=goal, **where)
    except UserError:
        if is_new:
            with suppress(OSError):  # it holds what was trained
                args.out.rmdir()
        raise


def _goal_of_study(config: Path | None) -> Goal | None:
    """A ``best.yaml`` or a trial's ``config.yaml`` in its study's folder is trained with the study's goal, so that its
    floors keep the same datasets from resting and the same epoch comes out best."""
    from raytune_planes.tracking import files, reading

    above = config.resolve().parents[:3] if config else ()  # STUDY/best.yaml, STUDY/trials/0001-id/config.yaml
    study = next((folder for folder in above if (folder / files.STUDY).is_file()), None)
    if study is None:
        return None
    start, _ = reading.read_ends(study)
    print(f"Epochs are ranked by the goal of study {start.name}, and its floors hold")
    return start.goal
