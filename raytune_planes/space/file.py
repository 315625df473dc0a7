"""One search-space file as text to a ``Space``, with every problem of its form."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from raytune_planes.errors import UserError, did_you_mean
from raytune_planes.floors import Relative
from raytune_planes.misfits import lowered
from raytune_planes.records import HIGHER_IS_BETTER, Goal, Objective, split_metric
from raytune_planes.section import Section
from raytune_planes.settings import Value
from raytune_planes.space.dimension import Dimension, RungSettings, Space, StudySettings
from raytune_planes.space.types import Types
from raytune_planes.strict_yaml import strict_yaml

SECTIONS = ("format", "about", "objectives", "floors", "fixed", "search", "study")
FORMAT = 1  # the file may say it, and is of this version where it does not
_KINDS: Mapping[str, Literal["float", "int", "choice"]] = {"float": "float", "int": "int", "choice": "choice"}


def read(text: str, name: str, source: str = "") -> tuple[Space, list[str]]:
    """The space that ``text`` describes, and what is wrong with it; what is wrong is left out of the space.

    ``source``: where the text is from, for messages; the name where it is empty.

    Raises:
        UserError: it is no YAML mapping, too large, too deep, holds a key twice, or is of another format.
    """
    tree = strict_yaml(text, source or name, "search space")
    if tree.get("format", FORMAT) != FORMAT:
        way_out = "use the version of raytune-planes that it was written for, or a newer one"
        raise UserError(f"{name} has search-space format {tree['format']!r}, this version reads {FORMAT}; {way_out}")
    problems = [f"no section '{key}'{did_you_mean(str(key), SECTIONS)}" for key in tree if key not in SECTIONS]
    reader = _Reader(problems)
    goal = Goal(reader.objectives(tree.get("objectives")), *reader.floors(reader.mapping(tree, "floors")))
    fixed = {path: reader.value(path, value, "fixed") for path, value in reader.mapping(tree, "fixed").items()}
    dimensions = [reader.dimension(path, spec) for path, spec in reader.mapping(tree, "search").items()]
    study = reader.study(reader.mapping(tree, "study"))
    about = tree.get("about") or ""
    if not isinstance(about, str):
        problems.append(f"about: {about!r} is no text; write one sentence in quotes")
    search = _parents_first([d for d in dimensions if d is not None], problems)
    return Space(name, " ".join(str(about).split()), goal, fixed, search, study), problems


class _Reader:
    """Turns the parts of the tree into values; what does not fit goes into ``problems``."""

    def __init__(self, problems: list[str]) -> None:
        self.problems, self.types = problems, Types()

    def mapping(self, tree: Mapping[str, Any], section: str) -> dict[str, Any]:
        part = tree.get(section) or {}
        if isinstance(part, dict):
            return {str(key): value for key, value in part.items()}
        self.problems.append(f"{section}: expected lines like 'name: value', found {part!r}")
        return {}

    def objectives(self, part: object) -> tuple[Objective, ...]:
        items = part if isinstance(part, list) else [part] if part else []
        read = []
        for item in items:
            spec = {"metric": item} if isinstance(item, str) else item
            if not isinstance(spec, dict) or not isinstance(spec.get("metric"), str) or set(spec) - {"metric", "mode"}:
                self.problems.append(f"objectives: {item!r} is none; write {{metric: val/fgvc/accuracy, mode: max}}")
                continue
            parts = split_metric(spec["metric"])
            read.append(Objective(spec["metric"], str(spec.get("mode") or _best(parts[2] if parts else ""))))
        return tuple(read)

    def floors(self, part: Mapping[str, Any]) -> tuple[dict[str, float], dict[str, Relative]]:
        """Those that are numbers, and those that follow a reference."""
        numbers = {key: number for key, value in part.items() if (number := _number(value)) is not None}
        relative = {}
        for key, value in part.items():
            if key not in numbers:
                try:
                    relative[key] = Relative.parse(str(value))
                except ValueError as error:
                    self.problems.append(f"floors: {key}: {error}")
        return numbers, relative

    def value(self, path: str, value: Value, where: str) -> Value:
        """``value`` in the type of its setting, where YAML has read it as another."""
        types = self.types.of(path)
        if isinstance(value, bool) and types and bool not in types:
            self.problems.append(
                f"{where}: {path} has the value {str(value).lower()}; YAML reads no, off, yes and on as false and "
                f"true: put the word in quotes"
            )
        elif types & {int, float} and not types & {str}:
            number = _number(value)  # YAML 1.1 reads 1e-5 as text
            if number is not None:
                return number if float in types or number != int(number) else int(number)
        return value

    def dimension(self, path: str, spec: object) -> Dimension | None:
        kinds = [key for key in spec if key in _KINDS] if isinstance(spec, dict) else []
        if not isinstance(spec, dict) or len(kinds) != 1:
            self.problems.append(
                f"search: {path}: expected one of {{float: [low, high]}}, {{int: [low, high]}}, {{choice: [a, b]}}"
            )
            return None
        allowed = ("choice", "when") if kinds[0] == "choice" else (kinds[0], "log", "step", "when")
        for key in spec:
            if key not in allowed:
                self.problems.append(
                    f"search: {path}: no key '{key}' beside {kinds[0]}{did_you_mean(str(key), allowed)}"
                    f" (there are: {', '.join(allowed[1:])})"
                )
        when = self._when(path, spec.get("when"))
        if kinds[0] == "choice":
            return self._choice(path, spec["choice"], when)
        return self._range(path, _KINDS[kinds[0]], spec, when)

    def study(self, part: Mapping[str, Any]) -> StudySettings:
        try:
            return StudySettings.model_validate({k: self._deep(v) for k, v in part.items()})
        except ValidationError as error:
            for each in error.errors():
                path = ".".join(str(p) for p in each["loc"])
                section: type[Section] = RungSettings if path.startswith("rungs.") else StudySettings
                hint = did_you_mean(str(each["loc"][-1]), section.model_fields)
                unknown = each["type"] == "extra_forbidden"
                self.problems.append(
                    f"study: no setting '{path}'{hint}"
                    if unknown
                    else f"study: {path} = {each['input']!r}: {lowered(each['msg'])}"
                )
            return StudySettings()

    def _deep(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: self._deep(v) for k, v in value.items()}
        return value if _number(value) is None or isinstance(value, int | float) else _number(value)

    def _when(self, path: str, part: object) -> dict[str, tuple[Value, ...]]:
        if part is None:
            return {}
        if not isinstance(part, dict) or not part:
            self.problems.append(f"search: {path}: when: expected {{other.setting: [values]}}, found {part!r}")
            return {}
        listed = {str(k): v if isinstance(v, list) else [v] for k, v in part.items()}
        return {k: tuple(self.value(k, v, f"search: {path}: when") for v in values) for k, values in listed.items()}

    def _choice(self, path: str, part: object, when: dict[str, tuple[Value, ...]]) -> Dimension | None:
        scalars = isinstance(part, list) and all(v is None or isinstance(v, bool | int | float | str) for v in part)
        if not isinstance(part, list) or not scalars or len({(type(v), v) for v in part}) != len(part) or len(part) < 2:
            self.problems.append(
                f"search: {path}: choice: expected two or more different values in a list, found {part!r}; "
                f"a single value belongs under 'fixed'"
            )
            return None
        return Dimension(path, "choice", choices=tuple(self.value(path, v, "search") for v in part), when=when)

    def _range(
        self,
        path: str,
        kind: Literal["float", "int", "choice"],
        spec: Mapping[str, Any],
        when: dict[str, tuple[Value, ...]],
    ) -> Dimension | None:
        ends = spec[kind] if isinstance(spec[kind], list) else []
        numbers = [n for n in map(_number, ends) if n is not None and (kind == "float" or n == int(n))]
        what = "numbers" if kind == "float" else "whole numbers"
        problem = ""
        step = None if spec.get("step") is None else _number(spec["step"])
        log = spec.get("log", False)
        if len(ends) != 2 or len(numbers) != 2:
            problem = f"expected two {what}, [low, high], found {spec[kind]!r}"
        elif numbers[0] >= numbers[1]:
            problem = (
                f"the low end {numbers[0]:g} is not below the high end {numbers[1]:g}; one value belongs under 'fixed'"
            )
        elif not isinstance(log, bool):
            problem = f"log is {log!r}; it is true or false"
        elif log and numbers[0] <= 0:
            problem = f"a logarithmic range needs a low end above 0, found {numbers[0]:g}"
        elif log and spec.get("step") is not None:
            problem = "log and step do not go together; leave one out"
        elif spec.get("step") is not None:
            problem = _wrong_step(numbers, step, kind)
        if problem:
            self.problems.append(f"search: {path}: {problem}")
            return None
        return Dimension(path, kind, numbers[0], numbers[1], log, step, when=when)


def _parents_first(dimensions: list[Dimension], problems: list[str]) -> tuple[Dimension, ...]:
    """The same dimensions, each after those it depends on; those in a circle are reported and left out."""
    paths, waiting = {d.path for d in dimensions}, list(dimensions)
    placed: list[Dimension] = []
    while waiting:
        done = {d.path for d in placed}
        ready = next((d for d in waiting if not (set(d.when) & paths) - done), None)
        if ready is None:
            alone = [d.path for d in waiting if d.path in d.when]
            circle = ", ".join(d.path for d in waiting)
            problems += [f"search: {path}: when: the setting is its own condition; name another one" for path in alone]
            if not alone:
                problems.append(f"search: the conditions (when) of {circle} wait for each other; break the circle")
            break
        placed.append(ready)
        waiting.remove(ready)
    return tuple(placed)


def _number(value: object) -> float | None:
    """A finite number from a number or from text that YAML 1.1 failed to read as one; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", value):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _wrong_step(ends: list[float], step: float | None, kind: str) -> str:
    if step is None or step <= 0 or (kind == "int" and step != int(step)):
        return f"the step must be a {'whole ' if kind == 'int' else ''}number above 0"
    steps = (ends[1] - ends[0]) / step
    if abs(steps - round(steps)) > 1e-9:
        return f"steps of {step:g} from {ends[0]:g} do not reach {ends[1]:g}; both ends must be reachable"
    return ""


def _best(name: str) -> str:
    return "max" if name in HIGHER_IS_BETTER else "min"
