"""Nothing in the package runs what a file says: no eval, no pickle from outside, no YAML that makes objects."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([*(ROOT / "raytune_planes").rglob("*.py"), *(ROOT / "cluster").rglob("*.py")])
OWN = {"ray.cloudpickle.loads": "tuning/reaper.py"}
"""Unpickles what this study itself put into its own cluster, whose token a stranger lacks."""
NEVER = ("eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.unsafe_load", "yaml.full_load")
PICKLES = ("pickle.load", "pickle.loads", "cloudpickle.load", "cloudpickle.loads", "joblib.load", "pandas.read_pickle")


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call of ``path`` by its dotted name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            yield name, node


def wrong(path: Path) -> Iterator[str]:
    for name, call in calls(path):
        words = {k.arg: ast.unparse(k.value) for k in call.keywords}
        if name in NEVER:
            yield name
        if name.endswith(PICKLES) and not path.as_posix().endswith(OWN.get(name, "nowhere")):
            yield name
        if name == "yaml.load" and not words.get("Loader", "").endswith("_Loader"):
            yield "yaml.load without our safe loader"
        if name == "torch.load" and words.get("weights_only") != "True":
            yield "torch.load without weights_only"
        if name.endswith("np.load") and words.get("allow_pickle", "False") != "False":
            yield "np.load with pickle"
        if words.get("shell") == "True":
            yield f"{name} through a shell"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_runs_what_it_reads(path: Path) -> None:
    assert list(wrong(path)) == []


@pytest.mark.parametrize(
    "text",
    [
        *("eval('1')", "pickle.loads(b'')", "yaml.load('')", "yaml.load('', Loader=yaml.Loader)", "torch.load('x')"),
        *("np.load('x', allow_pickle=True)", "subprocess.run('ls', shell=True)", "ray.cloudpickle.loads(b'')"),
    ],
)
def test_each_of_them_would_be_noticed(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(text)
    assert list(wrong(tmp_path / "x.py"))


def test_our_yaml_loader_makes_plain_values_only() -> None:
    import yaml

    from raytune_planes import strict_yaml

    assert issubclass(strict_yaml._Loader, yaml.SafeLoader)
