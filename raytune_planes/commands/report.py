"""Write a study, or a log in the published format, as figures and one page."""

from __future__ import annotations

import argparse
from pathlib import Path

from raytune_planes.commands.arguments import add_mlflow, add_moved, add_out, place
from raytune_planes.errors import UserError
from raytune_planes.paths import local
from raytune_planes.printing import counted
from raytune_planes.stores.address import Place

EXAMPLES = (
    "report",
    "report STUDY --to figures",
    "report STUDY --data-curve",
    "report results/logs/STUDY-0003.json",
)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "study", nargs="?", metavar="STUDY|LOG.json", help="a study's name (default: the latest), or a log file"
    )
    add_out(parser)
    parser.add_argument("--to", type=place, metavar="DIR", help="folder of the report (default: OUT/plots/STUDY)")
    add_moved(parser)
    parser.add_argument("--no-pictures", action="store_true", help="leave out what needs the model and the data")
    parser.add_argument(
        "--data-curve",
        action="store_true",
        help="first train the study's choice on 1/4, 1/2 and all of its training pictures, with the same steps, and "
        "show what more data would bring; shares that are done are not trained again, and later reports show them too",
    )
    add_mlflow(parser, default="the study's; for the trainings of --data-curve")


def run(args: argparse.Namespace) -> int:
    from raytune_planes.tracking.files import find_study

    complete = True
    if args.study and args.study.endswith(".json"):
        if args.data_curve:
            raise UserError(
                f"--data-curve trains the best trial of a study, and {args.study} is the log of one training; give a "
                "study's name, or leave out --data-curve"
            )
        paths = write_log(local(args.study), args.out, args.to)
    else:
        folder = find_study(args.out, args.study)
        if args.data_curve:
            complete = _train_curve(folder, args)
        paths = write_study(folder, args.to, args.data, args.cache, with_pictures=not args.no_pictures)
    if args.data_curve:
        _send_curve(folder, paths, args)
    figures = sum(path.suffix == ".png" for path in paths)
    print(
        f"{counted(figures, 'figure')}, as PNG and SVG, and {paths[1].name} in {paths[0].parent}\nlook at: {paths[0]}"
    )
    return 0 if complete else 1


def _train_curve(folder: Path, args: argparse.Namespace) -> bool:
    """Train what is missing of the data curve, and tell what it says; returns whether every share has a result."""
    from raytune_planes.commands.data_curve_run import train_curve
    from raytune_planes.report.data_curve import as_lines
    from raytune_planes.tracking.reading import read_study

    complete = train_curve(read_study(folder), args.data, args.cache)
    print("\n" + "\n".join([*as_lines(read_study(folder)), ""]))
    return complete


def _send_curve(folder: Path, paths: tuple[Path, ...], args: argparse.Namespace) -> None:
    """The data curve's trainings, and the report with them, to MLflow; a store that is away costs them nothing."""
    from raytune_planes.report.explain import saved_arguments
    from raytune_planes.tracking.mlflow import attach, sync
    from raytune_planes.tracking.reading import read_study

    began = saved_arguments(read_study(folder))
    uri, experiment = args.tracking_uri or began.get("tracking_uri"), args.experiment or began.get("experiment")
    try:
        sync(folder, uri, experiment=experiment)
        attach(folder, [path for path in paths if path.suffix != ".svg"], uri, experiment=experiment)
    except Exception as error:
        why = (str(error).splitlines() or [""])[0]
        print(f"MLflow does not have all of the data curve ({type(error).__name__}: {why}); its files are complete")


def write_log(path: Path, out: Path, to: Path | None = None) -> tuple[Path, ...]:
    """The report of a log file; its page comes first. Raises UserError: it cannot be read, or written."""
    from raytune_planes.report import build, log, page
    from raytune_planes.tracking.files import PLOTS

    history = log.read_log(path)
    return page.write(build.log_report(history), to or out / PLOTS / history.title)


def write_study(
    folder: Path,
    to: Path | None = None,
    data: Place | None = None,
    cache: Path | None = None,
    *,
    with_pictures: bool = True,
) -> tuple[Path, ...]:
    """The report of the study in ``folder``, in whatever state it is; its page comes first.

    Raises:
        UserError: no study is there, or the report cannot be written.
    """
    from raytune_planes.report import build, page
    from raytune_planes.report.figure import Figure, Missing
    from raytune_planes.report.summary import summarise
    from raytune_planes.tracking.files import PLOTS
    from raytune_planes.tracking.reading import read_study
    from raytune_planes.tuning.importance import importance

    study = read_study(folder)
    summary = summarise(study)
    shown: list[Figure] | Missing = Missing("no trial is complete")
    if not with_pictures:
        shown = Missing("left out by --no-pictures")
    elif summary is not None:
        from raytune_planes.commands.report_pictures import pictures

        shown = pictures(study, summary.best, data, cache)
    report = build.study_report(study, importance(study), shown)
    return page.write(report, to or folder.parent / PLOTS / study.start.name)
