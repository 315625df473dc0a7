"""What a space may not ask for where its trials train on every fold."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from raytune_planes.settings import Value
from raytune_planes.space.dimension import RungSettings

SPLIT = "split."


def fold_problems(searched: Collection[str], flat: Mapping[str, Value], rungs: RungSettings) -> Iterator[str]:
    """The problems of a space with ``split.kind = kfold``, or one that searches it.

    Args:
        searched: The paths that the space varies.
        flat: The settings of trial 0.
        rungs: How trials are stopped.
    """
    if "split.kind" in searched:
        yield "search: split.kind decides which pictures validate, the same for all trials: put it under 'fixed'"
    if flat["split.kind"] != "kfold":
        return
    for path in searched:
        if path.startswith(SPLIT) and path not in ("split.kind", "split.use"):
            yield f"search: {path} decides which pictures validate, the same for all trials: put it under 'fixed'"
    if flat["split.fold"]:
        yield (
            f"split.fold = {flat['split.fold']}: a trial trains on every fold, so leave it out; to validate on one "
            "part alone, set split.kind to group"
        )
    if rungs.rule == "promote":
        yield (
            "study.rungs.rule = promote: a trial that trains on every fold cannot pause between them; leave it out, or "
            "set split.kind to holdout or group"
        )
    if flat["plan"] or "plan" in searched:
        yield (
            "split.kind = kfold: a plan of stages is not trained on every fold; leave out the plan, or set split.kind "
            "to holdout or group"
        )
