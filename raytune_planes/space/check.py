"""What is wrong with a space before a study starts: settings, ranges, conditions, metrics."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from raytune_planes.config import DECODED_FOR, TrialConfig, cautions
from raytune_planes.errors import did_you_mean, listed
from raytune_planes.floors import ALONE, Relative
from raytune_planes.misfits import lowered
from raytune_planes.records import HIGHER_IS_BETTER, MEASURES, NEEDS_WEIGHT, split_metric, stage_names
from raytune_planes.settings import PATHS, Value, examined, flatten, make_config, nest, unknown, unstaged, value_of
from raytune_planes.space.dimension import Dimension, Space, show
from raytune_planes.space.drawable import drawable, refused
from raytune_planes.space.effects import is_of_stopping, without_effect
from raytune_planes.space.final import too_short
from raytune_planes.space.folds import fold_problems
from raytune_planes.space.types import Types

CAUTIONED = {"freeze", "start", "epochs", "steps_per_epoch"}
"""Last words of the settings that ``config.cautions`` reads, beside those of early stopping."""
METRICS = (*sorted(HIGHER_IS_BETTER), "loss", *(name for name in MEASURES if name not in HIGHER_IS_BETTER))


def check(space: Space, *layers: Mapping[str, Value]) -> None:
    """Refuse a space that could not run, with ``layers`` (dotted path -> value) over its fixed settings.

    Raises:
        UserError: naming every problem.
    """
    faults = list(problems(space, *layers))
    if faults:
        raise listed(faults, f"search space {space.name}")


def cautioned(space: Space) -> tuple[str, ...]:
    """What a valid space does and hardly anyone wants: ``config.cautions`` of its trials, settings without effect."""
    short = too_short(space, space.study.final)
    return (*_cautions(space), *([f"{short}: there is none; --final EPOCHS asks for a longer one"] if short else []))


def _cautions(space: Space) -> tuple[str, ...]:
    searched = [d.path for d in space.search]
    concerned = {path.rsplit(".", 1)[-1] for path in (*space.fixed, *space.start, *searched)} & CAUTIONED
    if not concerned and not any(map(is_of_stopping, searched)):
        return ()
    base = flatten(make_config(space.fixed, space.start))
    configs = [TrialConfig.model_validate(nest({**base, **drawn})) for drawn in drawable(space)]
    of_trials = dict.fromkeys(each for config in configs for each in cautions(config))
    return (*of_trials, *without_effect(searched, configs))


def problems(space: Space, *layers: Mapping[str, Value]) -> Iterator[str]:
    """Every problem of a space, in the order of the file's sections."""
    config, wrong = examined(space.fixed, *layers)
    yield from (f"fixed: {text}" for text in wrong.values())
    base = flatten(config or make_config())
    yield from _goal_problems(space, {**base, **space.start})
    searched = {d.path: d for d in space.search}
    yield from fold_problems(searched, {**base, **space.start}, space.study.rungs)
    yield from (f"'{path}' stands under both fixed and search; keep one" for path in searched if path in space.fixed)
    if not searched:
        yield "search: nothing to vary; give at least one dimension"
    types = Types()

    def misfit(dimension: Dimension) -> str:
        fault = _misfit(dimension, types, base) or _condition_misfit(dimension, searched, space, base)
        return fault or refused(dimension, space, invalid)

    def invalid(values: Mapping[str, Value]) -> str:
        return _invalid(base, values)

    misfits = [text for each in space.search if (text := misfit(each))]
    yield from misfits
    if not misfits and searched:
        together = next(filter(None, map(invalid, drawable(space))), "")
        yield from [f"search: values that are valid alone are not together: {together}"] if together else []
        yield from _unmeasured(space, base)


def _goal_problems(space: Space, base: Mapping[str, Value]) -> Iterator[str]:
    if not space.goal.objectives:
        yield "objectives: none; give at least one, such as {metric: val/fgvc/accuracy, mode: max}"
    metrics = [o.metric for o in space.goal.objectives]
    yield from (f"objectives: {m} is listed twice" for m in dict.fromkeys(metrics) if metrics.count(m) > 1)
    for objective in space.goal.objectives:
        problem = _metric_problem(objective.metric, base)
        better = "max" if objective.metric.rsplit("/", 1)[-1] in HIGHER_IS_BETTER else "min"
        if problem:
            yield f"objectives: {problem}"
        elif objective.mode not in ("max", "min"):
            yield f"objectives: {objective.metric}: no mode '{objective.mode}'; it is max or min"
        elif objective.mode != better:
            yield f"objectives: {objective.metric} is better when it is {_side(better)}; its mode is {better}"
    floors: dict[str, float | Relative] = {**space.goal.floors, **space.goal.relative}
    for metric, floor in floors.items():
        problem = _metric_problem(metric, base)
        if problem:
            yield f"floors: {problem}"
        elif metric.rsplit("/", 1)[-1] not in HIGHER_IS_BETTER:
            yield f"floors: {metric} is better when it is smaller, so it can have no floor"
        elif isinstance(floor, Relative):
            if floor.reference == ALONE and base["plan"]:
                yield f"floors: {metric}: '{floor}' needs a dataset trained alone, which a plan of stages has not"
            elif floor.reference == ALONE and sum(bool(base[path]) for path in base if _takes_part(path)) < 2:
                yield (
                    f"floors: {metric}: '{floor}' needs a dataset trained alone, and here there is one dataset: follow "
                    f"the defaults, or give a number"
                )
            elif not -1 < floor.offset < 1:
                yield f"floors: {metric}: '{floor}' is off its reference by more than a metric in [0, 1] can be"
        elif not 0 < floor <= 1:
            yield f"floors: {metric}: {floor:g} is outside (0, 1]"


def _unmeasured(space: Space, base: Mapping[str, Value]) -> Iterator[str]:
    """Metrics of the goal that trial 0 measures and another trial does not: it could not be judged."""
    metrics = dict.fromkeys([*(o.metric for o in space.goal.objectives), *space.goal.floors, *space.goal.relative])
    waiting = [metric for metric in metrics if not _metric_problem(metric, {**base, **space.start})]
    for drawn in drawable(space):
        unmeasured = {m: why for m in waiting if (why := _metric_problem(m, {**base, **drawn}))}
        yield from (f"search: a trial could not be judged: {why}" for why in unmeasured.values())
        waiting = [metric for metric in waiting if metric not in unmeasured]


def _metric_problem(key: str, base: Mapping[str, Value]) -> str:
    names = [path.split(".")[1] for path in base if _takes_part(path)]
    parts = split_metric(key)
    if parts is None:
        return f"no metric '{key}'; metrics are named val/<dataset>/<name>, such as val/fgvc/accuracy"
    split, dataset, name = parts
    if split != "val":
        return f"'{key}' is not measured on the validation split; a search may look at val/... only"
    if dataset not in names:
        return (
            f"no dataset '{dataset}' (in '{key}'){did_you_mean(dataset, names) or '; there are: ' + ', '.join(names)}"
        )
    if name not in METRICS:
        return f"no metric '{name}' (in '{key}'){did_you_mean(name, METRICS)} (there are: {', '.join(METRICS)})"
    enabled = "".join(f"stages.{name}." for name in stage_names(str(base["plan"]))[-1:]) + f"datasets.{dataset}.enabled"
    if not value_of(base, enabled):
        return f"'{key}' is never measured: {enabled} is false"
    if name in NEEDS_WEIGHT and not base[NEEDS_WEIGHT[name]]:
        return f"'{key}' is not measured where {NEEDS_WEIGHT[name]} is 0; keep it above 0"
    return ""


def _takes_part(path: str) -> bool:
    return path.startswith("datasets.") and path.endswith(".enabled")


def _misfit(dimension: Dimension, known: Types, base: Mapping[str, Value]) -> str:
    """Why a dimension does not fit its setting, or ``""``."""
    path, types = dimension.path, known.of(dimension.path)
    missing = unknown(path, base)
    if missing:
        return f"search: {missing}"
    if unstaged(path).startswith("datasets.") and path.rsplit(".", 1)[-1] in ("reader", *PATHS):
        return f"search: {path} says which files there are, the same for all trials: put it under 'fixed'"
    if dimension.kind == "float" and unstaged(path).startswith("datasets.") and path.rsplit(".", 1)[-1] in DECODED_FOR:
        return f"search: {path} decides what is decoded before the study: write {{choice: [a, b]}}"
    if dimension.kind == "float" and float not in types:
        allowed = "a whole number: write {int: [low, high]}" if int in types else "no number: write {choice: [a, b]}"
        return f"search: {path} is {allowed}"
    if dimension.kind == "int" and not types & {int, float}:
        return f"search: {path} is no number: write {{choice: [a, b]}}"
    return ""


def _condition_misfit(
    dimension: Dimension, searched: Mapping[str, Dimension], space: Space, base: Mapping[str, Value]
) -> str:
    for path, allowed in dimension.when.items():
        other = searched.get(path)
        if other is None:
            known = {other for other in searched if other != dimension.path and not unknown(other, base)}
            near = did_you_mean(path, known) or "; put it under 'search' as well"
            why = "is fixed, not searched" if path in space.fixed else f"is not searched{near}"
            return f"search: {dimension.path}: when: {path} {why}"
        if other.kind == "float":
            return (
                f"search: {dimension.path}: when: {path} is a range of real numbers; only int and choice can be named"
            )
        outside = [show(v) for v in allowed if not other.contains(v)]
        if outside:
            return f"search: {dimension.path}: when: {path} never is {', '.join(outside)}; it is {other.text()}"
        if not allowed:
            return f"search: {dimension.path}: when: {path} has an empty list, so the dimension would never be drawn"
    return ""


def _invalid(base: Mapping[str, Value], drawn: Mapping[str, Value]) -> str:
    """Why the config refuses ``drawn`` over ``base``, or ``""``. Not ``make_config``: this runs a thousand times."""
    try:
        TrialConfig.model_validate(nest({**base, **drawn}))
    except ValidationError as error:
        first = error.errors()[0]
        return lowered(str(first["msg"]).removeprefix("Value error, "))
    return ""


def _side(mode: str) -> str:
    return "larger" if mode == "max" else "smaller"
