"""The image of the Kubernetes files: its recipe passes a linter, gets the files that it copies, and fits both files."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from docker.utils import exclude_paths  # MLflow brings it: the rules by which docker reads .dockerignore

from tests.cluster.test_host_needs import FOLDER, LOCK, host_needs

ROOT = FOLDER.parent
RECIPE = (FOLDER / "Dockerfile").read_text()
KUBERNETES = ("kuberay-raycluster.yaml", "kuberay-rayjob.yaml")
GLIBC = {"bookworm": (2, 36), "trixie": (2, 41)}
"""Of Debian's releases."""


def found_by_linter(recipe: str) -> list[str]:
    """The rules of hadolint that ``recipe`` breaks."""
    linter = Path(sys.executable).with_name("hadolint")
    words = [str(linter), "--no-fail", "--format", "json", "-"]
    told = subprocess.run(words, input=recipe, capture_output=True, text=True, check=True).stdout
    return [found["code"] for found in json.loads(told)]


def instructions(name: str) -> list[str]:
    lines = RECIPE.replace("\\\n", " ").splitlines()
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{name} ")]


def test_a_linter_finds_nothing_in_the_recipe() -> None:
    assert found_by_linter(RECIPE) == []


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ("python:3.11-slim-trixie", "python:latest", "DL3007"),
        ("wget=1.*", "wget", "DL3008"),
        ("WORKDIR /app", "WORKDIR app", "DL3000"),
        ("USER 1000", "USER root", "DL3002"),
        ("COPY --chown=1000:1000 . .", "ADD . .", "DL3020"),
    ],
)
def test_a_planted_fault_is_found_in_the_recipe(right: str, wrong: str, rule: str) -> None:
    assert right in RECIPE
    assert rule in found_by_linter(RECIPE.replace(right, wrong))


def test_the_image_gets_the_project_and_nothing_else_of_a_checkout(tmp_path: Path) -> None:
    needed = {
        *("pyproject.toml", "uv.lock", "README.md", "LICENSE", "cluster/tune.py", "search_spaces/quick.yaml"),
        *("raytune_planes/cli.py", "raytune_planes/data/one.txt"),
    }
    other = {
        *(".git/config", ".venv/bin/python", "results/one/study.json", "cluster/results/one/study.json", "mlruns/0"),
        *("tests/test_cli.py", ".env", "aircraft/one.jpg", "raytune_planes/__pycache__/cli.pyc", "cluster/.venv/bin/x"),
    }
    for name in needed | other:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    sent = exclude_paths(str(tmp_path), [line for line in patterns if line and not line.startswith("#")])
    assert {name for name in sent if (tmp_path / name).is_file()} == needed


def test_what_the_recipe_copies_and_what_the_package_is_made_of_is_sent() -> None:
    patterns = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in patterns if line.startswith("!")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    made_of = {*project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"], project["project"]["readme"]}
    copied = {word for line in instructions("COPY") for word in line.split()[1:-1]} - {"."}
    assert kept == made_of | copied | {*project["project"]["license-files"]}
    assert all((ROOT / name).exists() for name in kept)


def test_python_and_glibc_of_the_image_fit_the_lock() -> None:
    (base,) = instructions("FROM")
    found = re.fullmatch(r"python:(\d+\.\d+)-slim-(\w+)", base)
    assert found is not None
    assert f"--python {found[1]} " in (FOLDER / "aws.yaml").read_text()  # the same everywhere: Ray pickles functions
    assert GLIBC[found[2]] >= host_needs.needs_of(LOCK).glibc


@pytest.mark.parametrize("name", KUBERNETES)
def test_pods_use_the_image_as_it_is_built(name: str) -> None:
    text = (FOLDER / name).read_text()
    built = re.search(r"docker build -f Dockerfile -t (\S+) \.\.", RECIPE)
    assert built is not None
    assert f"    docker build -f Dockerfile -t {built[1]} ..\n" in (FOLDER / "README.md").read_text()
    assert set(re.findall(r"image: (\S+)", text)) == {built[1]}
    spec = yaml.safe_load(text)["spec"]
    spec = spec.get("rayClusterSpec", spec)
    pods = [spec["headGroupSpec"]["template"]["spec"], *(g["template"]["spec"] for g in spec["workerGroupSpecs"])]
    (user,), (folder,) = instructions("USER"), instructions("WORKDIR")
    assert {pod["securityContext"]["fsGroup"] for pod in pods} == {int(user)}
    assert {pod["containers"][0]["workingDir"] for pod in pods} == {folder}
    assert f"PATH={folder}/.venv/bin:$PATH" in instructions("ENV")
