"""What ``best --json`` prints: the answer of a study as values for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from raytune_planes.fold_metrics import results
from raytune_planes.report import explain
from raytune_planes.report.final import final_json
from raytune_planes.report.formatting import as_json_number
from raytune_planes.report.learnt import learnt_json
from raytune_planes.report.summary import Summary, end_counts, summarise
from raytune_planes.tracking.gains import Sample
from raytune_planes.tracking.reading import StudyFiles


def as_json(study: StudyFiles, prefer: str | None = None) -> dict[str, Any]:
    """What ``as_text`` prints, as values: numbers as numbers, NaN as None.

    Raises:
        UserError: no trial has the metric ``prefer``.
    """
    summary = summarise(study, prefer)
    start = study.start
    return {
        "study": start.name,
        "study_id": start.study_id,
        "space": start.space,
        "seed": start.seed,
        "synthetic": start.synthetic,
        "folder": str(study.folder),
        "running": study.end is None,
        "trials": {str(end): count for end, count in end_counts(study).items()},
        "objectives": [{"metric": o.metric, "mode": o.mode} for o in start.goal.objectives],
        "floors": dict(start.goal.floors),
        "best": _best(study, summary) if summary else None,
        "final": final_json(study),
        "learnt": learnt_json(study),
    }


def _best(study: StudyFiles, summary: Summary) -> dict[str, Any]:
    return {
        "trial": summary.best.number,
        "trial_id": summary.best.trial_id,
        "end": str(summary.best.end),
        "reason": summary.best.reason,
        "epoch": summary.epoch.epoch,
        "score": as_json_number(study.start.goal.value(summary.epoch.metrics)),
        "feasible": summary.feasible,
        "shortfalls": dict(summary.shortfalls),
        "chosen": summary.choice.reason,
        "front": [t.number for t in summary.choice.front],
        "knee": summary.choice.knee.number if summary.choice.knee else None,
        "drawn": dict(summary.best.drawn),
        "folds": [dict(metrics) for metrics in results(summary.best)],
        "metrics": {key: as_json_number(value) for key, value in summary.epoch.metrics.items()},
        "gains": {
            g.metric: {
                "defaults": as_json_number(g.before),
                "best": as_json_number(g.after),
                "gain": as_json_number(g.difference),
                "alone": as_json_number(g.alone),
                **_sample(g.sample),
            }
            for g in summary.gains
        },
        "config": dict(summary.best.config),
        "confirmed": {
            key: {
                "gain": g.mean,
                "low": g.low,
                "high": g.high,
                "seeds": len(g.values),
                **_sample(g.sample),
            }
            for key, g in explain.uncertainty(study, summary.best).items()
        },
        "rests": [asdict(d) for d in summary.best.decisions],
        "nearest": [a.trial.number for a in explain.nearest(summary.best, summary.choice.front, study.start.goal)],
        "commands": dict(explain.commands(study, summary.best)),
    }


def _sample(sample: Sample | None) -> dict[str, Any]:
    return {"n": sample.count if sample else None, "of": sample.unit if sample else None}
