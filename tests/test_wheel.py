"""The wheel holds everything under one name, and works where nothing of the checkout is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("search_spaces", "cluster")
"""Folders of the checkout's top level that lie inside the package in a wheel."""
SPACE = """
objectives: [{metric: val/planesnet/accuracy}]
fixed:
  budget.epochs: 1
  budget.steps_per_epoch: 2
  budget.batch_size: 8
  model.backbone.width: 8
  model.dit.heads: 2
  datasets.planesnet.image_size: 16
  datasets.hrplanes.enabled: false
  datasets.fgvc.enabled: false
search:
  optim.lr: {float: [1e-3, 1e-2], log: true}
study: {rungs: {enabled: false}}
"""

pytestmark = pytest.mark.slow


def uv(*words: str) -> None:
    found = os.environ.get("UV") or shutil.which("uv")
    if not found:
        pytest.skip("wheels are built with uv, which is not in PATH")
    done = subprocess.run([found, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--wheel", "--quiet", "--out-dir", str(folder), str(ROOT))
    (made,) = folder.glob("*.whl")
    return made


class Installed:
    """An environment that holds the wheel, and the libraries of the running one without the checkout."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.empty = folder / "empty"
        self.empty.mkdir()
        uv("venv", "--quiet", "--python", sys.executable, str(folder / "venv"))
        self.bin = folder / "venv" / "bin"
        uv("pip", "install", "--quiet", "--no-deps", "--python", str(self.bin / "python"), str(wheel))
        (self.site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        # Path files are obeyed in an environment's own folder only: that of the checkout is not, there.
        (self.site / "libraries.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "XDG_", "PYTHON", "VIRTUAL_ENV"))}
        path = os.pathsep.join([str(self.bin), plain.get("PATH", os.defpath)])
        self.environment = {**plain, "HOME": str(folder), "PATH": path, "PYTHONWARNINGS": "ignore"}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=self.empty, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, code: str) -> str:
        return self.run(str(self.bin / "python"), "-P", "-c", code)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp("installed"), wheel)


def shipped(folder: Path) -> dict[str, bytes]:
    """Files of a folder that are not made by running it, by their path in it."""
    found = (p for p in folder.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def test_a_wheel_holds_one_top_level_package_with_every_file_of_the_checkout(wheel: Path) -> None:
    wanted = shipped(ROOT / "raytune_planes")
    for name in BESIDE:
        wanted |= {f"{name}/{path}": content for path, content in shipped(ROOT / name).items() if "results" not in path}
    with zipfile.ZipFile(wheel) as archive:
        top = {name.partition("/")[0] for name in archive.namelist()}
        held = {
            name.removeprefix("raytune_planes/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("raytune_planes/")
        }
    assert {name for name in top if not name.endswith(".dist-info")} == {"raytune_planes"}
    assert held.keys() == wanted.keys()
    assert held == wanted
    assert {"search_spaces/quick.yaml", "search_spaces/SETTINGS.md", "search_spaces/space.schema.json"} <= held.keys()
    assert {"cluster/cluster.yaml", "cluster/tune.py", "cluster/mlflow_head.sh"} <= held.keys()


def test_an_installed_wheel_is_all_that_its_environment_sees_of_the_project(installed: Installed) -> None:
    package = installed.python("import raytune_planes; print(raytune_planes.__file__)").strip()
    assert Path(package) == installed.site / "raytune_planes" / "__init__.py"
    code = "from importlib.util import find_spec; print([find_spec(name) for name in {!r}])"
    assert installed.python(code.format(BESIDE)) == "[None, None]\n"


def test_the_light_verbs_of_an_installed_wheel_answer_in_an_empty_folder(installed: Installed) -> None:
    assert "usage: raytune-planes tune" in installed.run("raytune-planes", "tune", "--help")
    assert installed.run("raytune-planes", "check", "quick").startswith("quick: ")
    assert "optim.lr" in installed.run("raytune-planes", "settings", "optim")


def test_an_installed_wheel_loads_its_spaces_by_name(installed: Installed) -> None:
    code = "from raytune_planes.space import load_space, packaged; print(*(load_space(n).name for n in packaged()))"
    assert installed.python(code).split() == sorted(path.stem for path in (ROOT / "search_spaces").glob("*.yaml"))


def test_a_study_of_an_installed_wheel_runs_through_ray_submit(installed: Installed) -> None:
    (installed.empty / "mine.yaml").write_text(SPACE)
    installed.run("raytune-planes", "synth", "data", "--planesnet=60", "--hrplanes=3", "--fgvc=24", "--fgvc-classes=2")
    cluster = installed.site / "raytune_planes" / "cluster"
    launcher = [str(installed.bin / "python"), "-m", "ray.scripts.scripts", "submit"]
    words = ["mine.yaml", "--trials=1", "--data=data", "--name=first", "--out=results"]
    printed = installed.run(*launcher, str(cluster / "cluster.yaml"), str(cluster / "tune.py"), "--", *words)
    assert "Study first ended" in printed
    assert (installed.empty / "results" / "first" / "best.yaml").is_file()
