"""One study from the command line: its arguments become a plan, the plan is run, and its end is reported."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

from raytune_planes.addresses import without_secrets
from raytune_planes.commands.arguments import share_of_gpus
from raytune_planes.commands.learn_run import with_lessons
from raytune_planes.commands.script_output import ScriptOutput
from raytune_planes.commands.study_arguments import remember, same_data
from raytune_planes.commands.study_space import settings_of
from raytune_planes.datasets import early
from raytune_planes.errors import UserError
from raytune_planes.floors import ALONE
from raytune_planes.invocation import command, in_folder, near
from raytune_planes.learning import earlier_studies
from raytune_planes.printing import by_words, counted
from raytune_planes.report import summary
from raytune_planes.report.card import FILE as CARD
from raytune_planes.report.final import final_lines
from raytune_planes.report.summary_json import as_json
from raytune_planes.settings import load
from raytune_planes.space import Space, planned
from raytune_planes.terminal import View
from raytune_planes.tracking import files, reading
from raytune_planes.tracking.base import Trackers, of_table
from raytune_planes.tracking.commit import commit
from raytune_planes.tracking.gains import best_of
from raytune_planes.tracking.jsonl import JsonlTracker
from raytune_planes.tracking.mlflow import MlflowTracker, sync
from raytune_planes.tracking.mlflow_place import MlflowPlace
from raytune_planes.tracking.notes import add_notes, check_tags
from raytune_planes.tuning.confirm import confirm, describe
from raytune_planes.tuning.final import train_final
from raytune_planes.tuning.plan import StudyPlan, prepare
from raytune_planes.tuning.shared_database import refuse_away
from raytune_planes.tuning.study import Outcome, run_study
from raytune_planes.tuning.teaching import with_teachers

LIBRARIES = ("torch", "ray", "optuna", "mlflow", "raytune-planes")


@early.given_up()
def run(args: argparse.Namespace, out: ScriptOutput, space: Space, text: str) -> int:
    """Run the study of a space and its text. Returns 0 with a best configuration, 1 when no trial is complete, 130 when
    it was interrupted."""
    check_tags(args.tag)
    try:
        return _run(args, out, space, text)
    except KeyboardInterrupt:  # at any moment: also while Ray starts, or after the trials
        name = args.resume or (out.folder.name if out.folder else "")
        if name and (files.study_folder(args.out, name) / files.ARGUMENTS).is_file():
            _say(f"Continue it with: {command(f'tune --resume {name}{in_folder(args.out)}')}")
        raise


def _run(args: argparse.Namespace, out: ScriptOutput, space: Space, text: str) -> int:
    plan = make_plan(args, space, text)
    out.folder = folder = files.study_folder(plan.out, plan.name)
    for name, described in plan.material.data.items():
        out.lines.data(name, described)
    remember(args, folder, _say)
    if args.about or args.tag:
        add_notes(folder, args.about, args.tag)
    # Both ask the store for nothing yet; records on disk come first, they are the source.
    mlflow = MlflowTracker(plan.out, args.tracking_uri, experiment=args.experiment)
    own = JsonlTracker(plan.out), mlflow
    trackers = Trackers(*own, *of_table(plan.out))
    view = out.view()
    if plan.final:
        _say(planned(plan.space, plan.final).capitalize())
    if args.search_db:
        _say(f"Search: {without_secrets(args.search_db)} (from {args.search_named})")
    if message := mlflow.place.in_words():
        _say(message)
    early.refuse_broken()
    _say("The first figures come with the first steps of the first trial")
    outcome = run_study(plan, view=view, trackers=trackers)
    status = conclude(args, plan, outcome)
    if plan.final and status == 0:
        _final(args, plan, outcome, view)
    if args.confirm and status == 0:
        _say(
            f"\nFinal check: the {args.confirm} best and the defaults, {counted(args.seeds, 'seed')} each, from scratch"
        )
        _say(describe(confirm(plan, outcome.study, args.confirm, args.seeds, view)))
    if status == 0:  # after the final check, whose intervals count
        _register(plan, mlflow.place, view)
    if not outcome.interrupted and (page := _draw(plan, mlflow.place)):
        out.lines.tell("report", page=str(page))
    out.lines.tell("result", result=as_json(reading.read_study(folder)))
    if not outcome.interrupted:
        early.finish(_say)
    return status


def make_plan(args: argparse.Namespace, space: Space, text: str) -> StudyPlan:
    """All that was asked, checked, with the data decoded.

    Raises:
        UserError: anything that cannot be run: a setting, the space, the data, the name of the study.
    """
    name = args.resume or args.name or f"{space.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder = files.study_folder(args.out, name)
    if not args.resume and ((folder / files.STUDY).is_file() or reading.has_trials(folder)):
        raise UserError(f"study '{name}' exists in {args.out}; continue with --resume {name}, or choose another --name")
    if args.no_references and (key := next((k for k, f in space.goal.relative.items() if f.reference == ALONE), "")):
        raise UserError(
            f"the floor of {key} is '{space.goal.relative[key]}', which needs each dataset trained alone: "
            "leave out --no-references, or give the floor as a number or after the defaults in a space of your own"
        )
    if args.search_db:  # before the data, which may take long
        refuse_away(args.search_db, MlflowPlace.of(args.out, args.tracking_uri).uri, args.search_named)
    start_from = tuple(load(path) for path in args.start_from)
    if args.learn_from and not args.resume:  # a resumed study learns nothing anew
        earlier_studies(args.out, args.learn_from)
    material = prepare(space, args.data, args.cache, _say, args.cache_limit)
    for dataset, described in material.data.items():
        counts = ", ".join(f"{n} {split}" for split, n in described.counts.items())
        _say(f"{dataset}:{' SYNTHETIC,' if described.synthetic else ''} {counts}")
    if args.resume:
        same_data(folder, material.data)
    share, cpu_hosts = share_of_gpus(args.gpus_per_worker)
    plan = StudyPlan(
        name=name,
        space=space,
        out=args.out.resolve(),
        material=material,
        settings=settings_of(space, args),
        space_text=text,
        workers=args.workers,
        cpus_per_worker=args.cpus_per_worker,
        gpus_per_worker=share,
        cpu_hosts=cpu_hosts,
        concurrent=args.concurrent,
        seed=args.seed,
        search_db=args.search_db,
        references=not args.no_references,
        start_from=start_from,
        commit=commit(),
        versions={"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
    )
    return with_lessons(with_teachers(plan), args.learn_from, _say)


def conclude(args: argparse.Namespace, plan: StudyPlan, outcome: Outcome) -> int:
    """Tell how the study ended and what it found."""
    _say(f"\nStudy {plan.name} ended: {outcome.reason}; {outcome.parallelism}")
    _say(summary.as_text(outcome.study, tracking_uri=args.tracking_uri or "", experiment=args.experiment or ""))
    if outcome.interrupted:
        _say(f"Continue it with: {command(f'tune --resume {plan.name}{in_folder(args.out)}')}")
        return 130
    return 1 if best_of(outcome.study) is None else 0


def _final(args: argparse.Namespace, plan: StudyPlan, outcome: Outcome, view: View) -> None:
    """The long training, in the terminal and in MLflow: a store that is away costs the study nothing."""
    train_final(plan, outcome.study, view)
    study = reading.read_study(outcome.study.folder)
    _say("\n" + "\n".join(final_lines(study)))
    try:
        sync(study.folder, args.tracking_uri, experiment=args.experiment)
    except UserError as error:
        _say(f"MLflow has nothing of the final training: {error}")


def _register(plan: StudyPlan, place: MlflowPlace, view: View) -> None:
    """A store that is away costs the registration, never the study."""
    from raytune_planes.commands.champion import register

    folder = files.study_folder(plan.out, plan.name)
    try:
        model = register(folder, place.uri, place.experiment)
    except UserError as error:
        _say(f"No model goes into MLflow's registry: {error}")
    except Exception as error:
        _say(f"The best model is not in MLflow's registry ({type(error).__name__}: {str(error).splitlines()[0]})")
    else:
        _say(f"Model, in {without_secrets(place.uri)}: {model}")
    if (folder / CARD).is_file():
        _say(f"Model card: {near(folder / CARD)}")


def _draw(plan: StudyPlan, place: MlflowPlace) -> Path | None:
    """The study's report, beside its run in MLflow too; what goes wrong with it costs the study nothing."""
    from raytune_planes.commands.report import write_study
    from raytune_planes.tracking.mlflow import attach

    folder, page = files.study_folder(plan.out, plan.name), None
    try:
        paths = write_study(folder)
        page = paths[0]
        _say(f"Report: {near(page)}")
        shown = [*(p for p in paths if p.suffix != ".svg"), *folder.glob(CARD)]
        attach(folder, shown, place.uri, experiment=place.experiment)
    except Exception as error:
        _say(f"The report is not complete ({type(error).__name__}: {(str(error).splitlines() or [''])[0]})")
    return page


def _say(text: str) -> None:
    print(by_words(text, sys.stdout), flush=True)
