"""What several tests share: small threads, no network, and the real pictures where a machine has them."""

from __future__ import annotations

import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from raytune_planes.invocation import INSIDE_UV

# Some systems ask Python to keep no bytecode: then each of the several hundred processes that the tests start compiles
# the same thousands of files of Ray, torch and MLflow again, which takes more than the tests themselves.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# No timed assertions: a loaded machine must not fail a property.
settings.register_profile("here", deadline=None)
settings.load_profile("here")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
OF_THE_CALLER = ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", INSIDE_UV)
for variable in OF_THE_CALLER:
    os.environ.pop(variable, None)
os.environ["RAY_ADDRESS"] = "local"  # a Ray that runs here, of another test or of a person, is not to be joined

OURS = (*OF_THE_CALLER, "RAY_ADDRESS", "RAY_TMPDIR")
"""Variables that decide where studies go, and where models are looked for."""

ARCHIVES = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.order import RayFirst

    return RayFirst(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    from tests.order import longest_first

    items.sort(key=longest_first)


@pytest.fixture(autouse=True)
def _variables_stay() -> Iterator[None]:
    """A variable that one test leaves behind sends another one's study elsewhere, in some order of the tests only."""
    before = {name: os.environ.get(name) for name in OURS}
    yield
    left = {name: os.environ.get(name) for name in OURS}
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    assert left == before, "this test, or a fixture of it, leaves other variables than it met"


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``planesnet/``, ``hrplanes/`` and ``fgvc-aircraft-2013b/`` holding real pictures."""
    named = os.environ.get("RAYTUNE_PLANES_REAL")
    if named:
        return Path(named)
    if not ARCHIVES.is_dir():
        pytest.skip("no real pictures here; set RAYTUNE_PLANES_REAL to a folder that holds the three datasets")
    folder = tmp_path_factory.mktemp("real")
    for name in ("planesnet", "hrplanes", "fgvc"):
        with zipfile.ZipFile(ARCHIVES / f"{name}.zip") as archive:
            archive.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``best.pt`` of a tiny model that learnt the toy datasets; a tile of a scene is 64 source pixels."""
    from raytune_planes.records import Goal, Objective
    from raytune_planes.training.loop import train
    from tests.toy import toy_config, toy_data, toy_prompts

    folder = tmp_path_factory.mktemp("trained")
    goal = Goal((Objective("val/hrplanes/iou"),))
    config = toy_config(budget__epochs=4, budget__steps_per_epoch=40, datasets__hrplanes__tile=64)
    train(config, toy_data(), toy_prompts(), goal, report=lambda _, checkpoint: checkpoint.save(folder))
    return folder / "best.pt"
