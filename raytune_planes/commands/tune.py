"""Search for the best configuration over many trials."""

from __future__ import annotations

import argparse
import sys

from raytune_planes.commands.arguments import (
    SEARCH_DB,
    TUNE_DEFAULTS,
    add_data,
    add_mlflow,
    add_out,
    add_set,
    at_least,
    gpus,
    place,
)
from raytune_planes.commands.script_output import (
    ScriptOutput,
    add_script_output,
    refuse_script_output,
    with_script_output,
)

EXAMPLES = (
    "tune",
    "tune rebalance --data DIR --trials 40",
    "tune mine.yaml --set budget.epochs=5 --dry-run",
    "tune --resume STUDY --trials 60",
)
TAKES_SPACE = True
"""Its help lists the packaged spaces."""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "space",
        nargs="?",
        metavar="SPACE",
        help="a packaged space or a YAML file (default: quick)",
    )
    add_data(parser)
    add_out(parser)
    add_set(parser)
    parser.add_argument(
        "--config", type=place, metavar="FILE", help="saved settings that trial 0 and the rest build on"
    )
    parser.add_argument("--name", metavar="STUDY", help="name of the study (default: the space and the time)")
    parser.add_argument("--about", default="", metavar="TEXT", help="a note on the study for people (see: note)")
    parser.add_argument(
        "--tag", action="append", default=[], metavar="WORD", help="a tag of the study; can be repeated"
    )
    parser.add_argument("--resume", metavar="STUDY", help="continue an interrupted study, or extend a finished one")
    _search(parser)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="start nothing: tell what would be varied, with which resources, and an estimate of time and disk by "
        "timing some steps",
    )
    _limits(parser.add_argument_group("limits: the study ends by whichever comes first"))
    _place(parser.add_argument_group("where trials run"))
    _afterwards(parser)
    tracking = parser.add_argument_group("tracking")
    add_mlflow(tracking)
    tracking.add_argument(
        "--search-db",
        metavar="URI",
        help="PostgreSQL database of the search, which many studies may share: postgresql://USER@HOST/DATABASE "
        f"(default: {SEARCH_DB}, else OUT/STUDY/optuna.db)",
    )
    add_script_output(parser)
    parser.set_defaults(**dict.fromkeys(TUNE_DEFAULTS))


def _search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--start-from",
        type=place,
        action="append",
        default=[],
        metavar="FILE",
        help="try this configuration early",
    )
    parser.add_argument(
        "--learn-from",
        action="append",
        default=[],
        metavar="STUDY|DIR|FILE|none",
        help="begin with what did best in this study, or in those of this folder or file (see: studies --export); may "
        "be repeated (default: the finished studies in --out that resemble this one, else the packaged ones); none for "
        "no study",
    )
    parser.add_argument("--seed", type=at_least(0), metavar="S", help="seed of the search (default: 0)")
    parser.add_argument(
        "--keep",
        type=at_least(1),
        metavar="K",
        help="keep the weights of the K best trials (default: the space's, 3), of the defaults, of the Pareto front, "
        "and of trials that can continue; the others' are removed as trials end",
    )


def _limits(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--trials", type=at_least(1), metavar="N", help="trials in all (default: the space's)")
    group.add_argument(
        "--hours", type=at_least(0.01, float), metavar="H", help="wall-clock time, the final training included"
    )
    group.add_argument("--samples", type=at_least(1), metavar="N", help="training images over all trials")
    group.add_argument("--patience", type=at_least(1), metavar="N", help="ended trials without a better best")
    group.add_argument(
        "--stall-minutes", type=at_least(0.01, float), metavar="N", help="a trial silent for this long ends as failed"
    )
    group.add_argument("--free-gib", type=at_least(0, float), metavar="X", help="no trial starts with less disk free")
    group.add_argument("--sampler", choices=("tpe", "random", "nsga2", "gp"), help="how configurations are chosen")
    group.add_argument("--no-rungs", action="store_true", help="let every trial train to its end")
    group.add_argument("--no-references", action="store_true", help="do not train each dataset alone for comparison")


def _afterwards(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "when the search has ended: a long training, and a check on the test split, which the search never sees"
    )
    group.add_argument(
        "--final",
        type=at_least(0),
        metavar="EPOCHS",
        help="when the search ends, train its best and the defaults again with so many epochs, compare them on the "
        "validation split, and hand over what holds; 0 for none (default: the space's)",
    )
    group.add_argument("--confirm", type=at_least(1), metavar="K", help="train the K best again, from scratch")
    group.add_argument("--seeds", type=at_least(2), metavar="S", help="with S seeds each (default: 3)")


def _place(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--workers", type=at_least(1), metavar="N", help="processes per trial (default: 1)")
    group.add_argument("--cpus-per-worker", type=at_least(1), metavar="N", help="(default: 1)")
    group.add_argument(
        "--gpus-per-worker",
        type=gpus,
        metavar="X",
        help="1, 0.5, ...: on GPUs alone; 0: on CPUs alone; auto (default): a GPU for each worker where there are "
        "GPUs, and hosts without train on their CPUs; auto:0.5 likewise, with half a GPU",
    )
    group.add_argument("--concurrent", type=at_least(1), metavar="N", help="trials at once (default: as many as fit)")


def run(args: argparse.Namespace) -> int:
    from raytune_planes.commands import study_arguments

    if args.dry_run:
        refuse_script_output(args, "--dry-run")
    if args.resume:
        whole = study_arguments.recall(args)
    else:
        missing = {key: value for key, value in TUNE_DEFAULTS.items() if getattr(args, key) is None}
        whole = argparse.Namespace(**{**vars(args), **missing})
        whole.search_db, whole.search_named = study_arguments.search_place(args.search_db)
    if args.dry_run:
        from raytune_planes.commands import dry_run

        return dry_run.run(whole)
    return with_script_output(whole, lambda out: _started(whole, out))


def _started(args: argparse.Namespace, out: ScriptOutput) -> int:
    """Checks and tells what is asked before the libraries are loaded, which takes seconds."""
    from raytune_planes.addresses import refuse_other
    from raytune_planes.commands.study_space import space_of
    from raytune_planes.printing import by_words
    from raytune_planes.tracking.gains import goal_in_words

    space, text = space_of(args)
    if args.search_db:
        refuse_other(args.search_db, args.search_named)
    print(by_words(f"Question: {space.about or space.name}\nGoal: {goal_in_words(space.goal)}", sys.stdout))
    print("Loading PyTorch and Ray", flush=True)
    from raytune_planes.commands import study_run

    return study_run.run(args, out, space, text)
