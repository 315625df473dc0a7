"""The final check of a study: its best and the defaults from scratch, with new seeds, on the unseen test split."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from raytune_planes.errors import UserError
from raytune_planes.printing import counted
from raytune_planes.records import HIGHER_IS_BETTER, End, Goal, TrialRecord, rank, split_metric
from raytune_planes.report.confirmed import FILE, Confirmed, at_budget, cell, confirmed
from raytune_planes.report.formatting import table
from raytune_planes.report.intervals import METHOD
from raytune_planes.space import lengthened
from raytune_planes.terminal import View
from raytune_planes.tracking.files import CONFIG, LAST, WEIGHTS, study_folder, write_whole
from raytune_planes.tracking.reading import StudyFiles
from raytune_planes.tuning.again import trained
from raytune_planes.tuning.cluster import connected
from raytune_planes.tuning.daemons import Guard, resumable
from raytune_planes.tuning.failures import explain
from raytune_planes.tuning.interrupt import Interrupt
from raytune_planes.tuning.leaving import LEFT, HostLeaves, leave_if_told
from raytune_planes.tuning.plan import StudyPlan
from raytune_planes.tuning.trial import Task

RESULT = "result.json"


def confirm(plan: StudyPlan, study: StudyFiles, best: int, seeds: int, view: View) -> tuple[Confirmed, ...]:
    """Train the ``best`` best trials and the defaults with ``seeds`` new seeds each; the defaults come first.

    Each training has the budget of the final training, where the study has one, else that of a trial; it keeps the
    epoch that validation ranks highest and looks at the test split once. What an earlier call finished is not done
    again.

    Raises:
        UserError: no trial is complete, or one training does not fit into the cluster.
        KeyboardInterrupt: the person or the system wished it; finished trainings are kept.
    """
    folder = study_folder(plan.out, plan.name).resolve()
    chosen = choose(study.trials, study.start.goal, best)
    if not chosen:
        raise UserError(f"no trial of study {plan.name} is complete; there is nothing to confirm")
    first = 1 + int(plan.config({}).seed)  # the search itself trained with the seed before
    trials = {trial.number: trial for trial in chosen}
    jobs = [(number, seed) for number in trials for seed in range(first, first + seeds)]
    tell = resumable(view, plan.name, plan.out)
    with connected() as cluster, Interrupt() as interrupt, Guard(cluster, interrupt.ask, tell):
        results_of: dict[tuple[int, int], dict[str, Any]] = {}
        places = {job: _place(folder, *job, plan.final) for job in jobs}
        calls = {job: (dict(trials[job[0]].drawn), job[1], places[job], plan.final) for job in jobs}
        for job, result in trained(plan, folder, train_again, calls, cluster, interrupt, view.note):
            number, seed = job
            results_of[job] = result
            view.note(f"confirmed {len(results_of)} of {len(jobs)}: trial {number} with seed {seed}{_progress(result)}")
    results = {number: [results_of[job] for job in jobs if job[0] == number] for number in trials}
    summaries = tuple(_summary(number, of_trial, plan.final) for number, of_trial in results.items())
    write_whole(folder / FILE, json.dumps([asdict(c) for c in summaries], indent=1) + "\n")
    return summaries


def choose(trials: Sequence[TrialRecord], goal: Goal, best: int) -> list[TrialRecord]:
    """The defaults, then the ``best`` best others: those that keep all floors first, by score."""
    ended = [t for t in trials if t.end.is_complete and t.epochs]
    defaults = [t for t in ended if t.number == 0]
    others = sorted((t for t in ended if t.number != 0), key=lambda t: rank(t, goal), reverse=True)
    return defaults + others[:best]


def describe(confirmed: Sequence[Confirmed]) -> str:
    """A table as text: one line per metric that grows with quality, one column per configuration."""
    keys = sorted(
        {k for c in confirmed for k in c.metrics if (parts := split_metric(k)) and parts[2] in HIGHER_IS_BETTER}
    )
    heads = ["defaults" if c.number == 0 else f"trial {c.number}" for c in confirmed]
    rows = []
    for key in keys:
        measured = [c.metrics.get(key) for c in confirmed]
        samples = list(dict.fromkeys(str(m.sample) for m in measured if m and m.sample))
        rows.append((key, *map(cell, measured), " or ".join(samples) or "-"))
    lines = [
        f"On the test split, each configuration's best epoch by validation{at_budget(confirmed)}, mean over its seeds:",
        *table(("metric", *heads, "n"), rows, right=range(1, len(heads) + 2)),
        *(f"  {head}: {_seeds(c)}" for head, c in zip(heads, confirmed, strict=True)),
        METHOD,
    ]
    for head, c in zip(heads, confirmed, strict=True):
        lines += [f"{head}: {why}" for why in c.failures]
    return "\n".join(lines)


def train_again(task: Task, drawn: Mapping[str, Any], seed: int, folder: Path, epochs: int = 0) -> dict[str, Any]:
    """Train one configuration alone in this process and evaluate its best epoch on the test split.

    Args:
        epochs: of a long budget; 0 for that of a trial.

    Returns:
        ``metrics``, or ``failed`` with the reason, or ``left`` with the host that is about to end.
    """
    from raytune_planes.settings import flatten, make_config
    from raytune_planes.tracking.jsonl import dotted_yaml
    from raytune_planes.training.checkpoint import Checkpoint, load
    from raytune_planes.training.stages import stage_of, train_stages
    from raytune_planes.training.trainer import Trainer
    from raytune_planes.training.writing import Writer
    from raytune_planes.tuning.worker import make_worker

    kept = folder / RESULT
    if kept.is_file():
        return dict(json.loads(kept.read_bytes()))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        longer = lengthened(task.config(drawn).plan, epochs) if epochs else {}
        config = make_config(*task.layers, drawn, longer, {"seed": seed}, source="confirmed settings")
        write_whole(folder / CONFIG, dotted_yaml(flatten(config), f"seed {seed}"))

        def keep(_: object, checkpoint: Checkpoint) -> None:
            writer.save(checkpoint, folder)
            leave_if_told()

        resume = folder / LAST if (folder / LAST).is_file() else None
        worker = make_worker(1, config.devices.vision, holds_card=task.holds_card)
        with Writer() as writer:
            end, reason = train_stages(config, task.supply, task.goal, worker=worker, resume=resume, report=keep)
        if end is End.FAILED:
            return {"failed": reason}
        best = load(folder / WEIGHTS)
        stage = stage_of(config, best)
        trainer = Trainer(stage, *task.supply(stage), worker)
        trainer.use(best["weights"])
        result: dict[str, Any] = {"metrics": trainer.evaluate("test")}
    except HostLeaves as leaving:
        return {LEFT: str(leaving)}
    except Exception as error:
        return {"failed": explain(error)}
    write_whole(kept, json.dumps(result))
    for name in (LAST, WEIGHTS):
        (folder / name).unlink(missing_ok=True)  # of no use any more: the result is all that is read
    return result


def _place(study: Path, number: int, seed: int, epochs: int) -> Path:
    return study / "confirm" / (f"{number:04d}-seed{seed}" + (f"-epochs{epochs}" if epochs else ""))


def _summary(number: int, results: Sequence[Mapping[str, Any]], epochs: int) -> Confirmed:
    failures = [str(r["failed"]) for r in results if "failed" in r]
    return replace(confirmed(number, [r["metrics"] for r in results if "metrics" in r], failures), epochs=epochs)


def _seeds(confirmed: Confirmed) -> str:
    done = max((len(i.values) for i in confirmed.metrics.values()), default=0)
    return counted(done, "seed") + (f", {len(confirmed.failures)} failed" if confirmed.failures else "")


def _progress(result: Mapping[str, Any]) -> str:
    return f" failed: {result['failed']}" if "failed" in result else ""
