"""What can be called from Python, by the examples in its docstrings."""

from __future__ import annotations

import contextlib
import doctest
import inspect
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import raytune_planes as rp
from raytune_planes.datasets.synthetic import synthesise

SPACE = """
objectives: [{metric: val/fgvc/accuracy}]
fixed:
  budget.epochs: 3
  budget.steps_per_epoch: 4
  budget.batch_size: 8
  model.backbone.width: 8
  model.dit.heads: 2
  datasets.fgvc.image_size: 16
  datasets.planesnet.image_size: 16
  datasets.hrplanes.enabled: false
search:
  optim.lr: {float: [1e-3, 1e-2], log: true}
study: {rungs: {enabled: false}}
"""
IN_ORDER = ("tune", "train", "load_study", "Study", "Trial", "load_model", "Model", "Answer", "UserError")
"""The first two make what the others look at."""


def _quietly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Its progress goes nowhere: an example shows what is returned."""

    def run(*given: Any, **options: Any) -> Any:
        with contextlib.redirect_stdout(io.StringIO()):
            return function(*given, **options)

    return run


QUIET = SimpleNamespace(
    tune=_quietly(rp.tune),
    train=_quietly(rp.train),
    load_study=rp.load_study,
    load_model=rp.load_model,
    Answer=rp.Answer,
)


@pytest.mark.slow
def test_the_example_of_every_public_name_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from raytune_planes.cli import main

    assert set(IN_ORDER) == set(rp.__all__)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    Path("mine.yaml").write_text(SPACE)
    assert main(["synth", "data", "--planesnet=60", "--hrplanes=3", "--fgvc=24", "--fgvc-classes=2"]) == 0
    Image.fromarray(np.full((20, 20, 3), 90, np.uint8)).save("chip.png")
    runner = doctest.DocTestRunner()
    for name in IN_ORDER:
        text = inspect.getdoc(getattr(rp, name)) or ""
        example = doctest.DocTestParser().get_doctest(text, {"rp": QUIET}, name, None, 0)
        assert example.examples, f"raytune_planes.{name} has no example"
        result = runner.run(example, out=lambda told: print(told, file=sys.__stderr__))
        assert result.failed == 0, f"the example of raytune_planes.{name} does not do what it says"


def test_importing_the_package_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys, raytune_planes\n"
        "heavy = {'torch', 'ray', 'optuna', 'mlflow', 'pandas', 'numpy', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "named = {name for name in dir(raytune_planes) if not name.startswith('__')}\n"
        "assert named == set(raytune_planes.__all__), named\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"trails": 3}, r"^no option 'trails'; did you mean 'trials'\?$"),
        ({"budget": 3}, "^no option 'budget'; 'raytune-planes tune --help' lists them$"),
        ({"trials": 0}, "^trials: 0 is too small; give 1 or more$"),
        ({"sampler": "tpee"}, "^sampler: invalid choice: 'tpee'"),
    ],
)
def test_a_wrong_option_is_an_error_that_says_what_is_allowed(options: dict[str, object], told: str) -> None:
    with pytest.raises(rp.UserError, match=told):
        rp.tune("quick", **options)


def test_a_name_that_is_not_public_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'tunes'"):
        _ = rp.tunes


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: rp.tune("quick", settings="optim.lr=1"), "settings='optim.lr=1': give dotted path -> value"),
        (lambda: rp.train("planesnet"), "settings='planesnet': give dotted path -> value"),
        (lambda: rp.tune("quick", settings={"optim.lr": object()}), "is no number, text, true, false or None"),
        (lambda: rp.tune("quick", settings={"optim.lr": np.float32(50)}), r"optim.lr = 50.0: input should be less"),
        (lambda: rp.train({"datasets.mine.root": Path("x")}), "datasets.mine.reader"),
        (lambda: rp.tune("quick", out=None), "out=None: give the path of a file or folder"),
        (lambda: rp.tune("quick", help=True), "no option 'help'"),
        (lambda: rp.tune("quick", name="-x"), "'-x' cannot name a study"),
        (lambda: rp.tune("quick", name=5, data="gone"), "no folder gone"),
        (lambda: rp.tune("quick", data="gone"), "no folder gone; data names a folder that holds planesnet/"),
        (
            lambda: rp.tune("quick", settings={"optim.rl": 1}),
            "^settings: no setting 'optim.rl'; did you mean 'optim.lr'",
        ),
        (lambda: rp.train({"datasets.fgvc": 1}), "^settings: 'datasets.fgvc' is a section, not a setting"),
        (lambda: rp.train(resume=True), "nothing to resume: .* does not exist; leave out resume to start"),
        (
            lambda: rp.load_study("gone"),
            "no study in results; run 'raytune-planes tune' first, or name its folder or s3://BUCKET/PREFIX with out$",
        ),
        (lambda: rp.load_model("gone"), r"\(studies are looked for in results; out names another folder\)$"),
        (lambda: rp.load_study(None), "study=None: give the path"),
        (lambda: rp.load_study("x" * 300), "no study "),
        (lambda: rp.load_model("x" * 300), "no model 'xxx"),
    ],
)
def test_an_argument_of_another_kind_is_an_error_that_says_what_is_allowed(
    call: Callable[[], object], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rp.UserError, match=told):
        call()
    assert list(tmp_path.iterdir()) == []


def test_one_sentence_is_one_text_and_no_list_of_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    small = {"budget.epochs": 1, "budget.steps_per_epoch": 1, "budget.batch_size": 4}
    synthesise(tmp_path / "data", planesnet=24, hrplanes=3, fgvc=12, fgvc_classes=2, seed=0, scene_side=320)
    record = rp.train(small, data="data", out="run", only="planesnet")
    assert repr(record).count("datasets.") == 0  # hundreds of settings would hide how it ended
    model = rp.load_model("run/best.pt")
    picture = next((tmp_path / "data").rglob("*.png"))
    one, several = (model.predict(picture, dataset="planesnet", texts=t) for t in ("a plane", ["a plane"]))
    assert one.to_dict() == several.to_dict()
    assert len(repr(one)) < 600  # a mask, where there is one, is not in it
    with pytest.raises(rp.UserError, match="^the model knows no dataset 'fgvc'; it was trained on planesnet$"):
        model.predict(picture, dataset="fgvc")
    with pytest.raises(rp.UserError, match="data is a folder; give the path of one picture$"):
        model.predict("data", dataset="planesnet")
    with pytest.raises(rp.UserError, match="^picture is a ndarray: give the path of a picture, .*or the bytes of a"):
        model.predict(np.zeros((20, 20, 3), np.uint8), dataset="planesnet")  # type: ignore[arg-type]
    with pytest.raises(rp.UserError, match="give sentences as str, and scale as a number"):
        model.predict(picture, dataset="planesnet", texts=[5])  # type: ignore[list-item]
