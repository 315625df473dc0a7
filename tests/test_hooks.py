"""Private names of libraries that the package uses: the installed release has them, and one file uses each."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from raytune_planes.tuning.optuna_hooks import ATTRIBUTES, METHODS, id_of
from raytune_planes.tuning.ray_hooks import BESIDE_TRIALS, OF_THE_CONTROLLER

PACKAGE = Path(__file__).resolve().parents[1] / "raytune_planes"

GROUP = "ray.train.v2._internal.execution.worker_group"

HOOKS: Mapping[str, str] = {
    "torch._foreach_add_": "training/kernels.py",
    "torch._foreach_mul_": "training/kernels.py",
    "torch._foreach_lerp": "training/kernels.py",
    "torch._foreach_lerp_": "training/kernels.py",
    "torch._foreach_sign": "training/kernels.py",
    "torch._fused_adamw_": "training/kernels.py",
    "timm.models._efficientnet_blocks.ConvBnAct": "model/folding.py",
    "timm.models._efficientnet_blocks.DepthwiseSeparableConv": "model/folding.py",
    "timm.models._efficientnet_blocks.EdgeResidual": "model/folding.py",
    "timm.models._efficientnet_blocks.InvertedResidual": "model/folding.py",
    "PIL.ImageFile._Tile": "datasets/depth.py",  # in annotations alone
    "optuna.samplers._tpe.sampler._split_trials": "tuning/optuna_hooks.py",
    "optuna.samplers._tpe.sampler.default_gamma": "tuning/optuna_hooks.py",
    "optuna.samplers._tpe.sampler.default_gamma_multiobjective": "tuning/optuna_hooks.py",
    **{f"optuna.samplers.TPESampler.{name}": "tuning/optuna_hooks.py" for name in METHODS},
    "optuna.study.Study._get_trials": "tuning/optuna_hooks.py",
    "ray._private.ray_constants.RAY_ENABLE_UV_RUN_RUNTIME_ENV": "tuning/ray_hooks.py",
    "ray._private.ray_constants.ENABLE_RAY_CLUSTER": "tuning/ray_hooks.py",
    **{f"ray._private.node.Node.{name}": "tuning/ray_hooks.py" for name in BESIDE_TRIALS},
    "ray._private.authentication.authentication_token_setup.maybe_enable_token_auth_if_token_available": (
        "tuning/ray_hooks.py"
    ),
    "ray.tune.execution.class_cache.ENV_VARS_TO_PROPAGATE": "tuning/ray_hooks.py",
    "ray.tune.execution.tune_controller.TuneController._maybe_reuse_cached_actor": "tuning/ray_hooks.py",
    "ray.tune.execution.tune_controller.TuneController._maybe_cache_trial_actor": "tuning/ray_hooks.py",
    "ray.tune.execution.tune_controller.TuneController._update_trial_queue": "tuning/ray_hooks.py",
    "ray.train.v2._internal.execution.callback.WorkerGroupCallback": "tuning/ray_hooks.py",
    f"{GROUP}.worker_group.WorkerGroup.get_worker_group_state": "tuning/ray_hooks.py",
    f"{GROUP}.state.WorkerGroupState.placement_group_handle": "tuning/ray_hooks.py",
    f"{GROUP}.placement_group_handle.DefaultPlacementGroupHandle.placement_group": "tuning/ray_hooks.py",
}
"""Private name -> the only file that uses it, and says why."""


@pytest.mark.parametrize("hook", HOOKS)
def test_the_installed_release_has_the_hook(hook: str) -> None:
    parts = hook.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for name in parts[end:]:
            there = hasattr(found, name) or name in getattr(found, "__dataclass_fields__", ())
            assert there, f"{hook} is gone; it is used in {HOOKS[hook]}"
            found = getattr(found, name, None)
        return


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_sampler_of_optuna_has_the_attribute(name: str) -> None:
    assert hasattr(TPESampler(), name), f"TPESampler.{name} is gone; it is used in tuning/optuna_hooks.py"


def test_a_trial_of_optuna_says_by_which_number_its_storage_knows_it() -> None:
    storage = InMemoryStorage()
    for name in "ab":
        study_id = storage.create_new_study([StudyDirection.MAXIMIZE], name)
        known = storage.create_new_trial(study_id)
    assert id_of(storage.get_trial(known)) == known == 1


def test_tune_says_which_process_a_trial_has() -> None:
    from ray.tune.experiment.trial import _TemporaryTrialState

    assert _TemporaryTrialState().ray_actor is None


@pytest.mark.parametrize("name", OF_THE_CONTROLLER)
def test_tunes_controller_has_the_attribute(name: str) -> None:
    from ray.tune.execution.tune_controller import TuneController

    written = f"self.{name} =" in inspect.getsource(TuneController) or f"self.{name}:" in inspect.getsource(
        TuneController
    )
    assert written, f"TuneController.{name} is gone; it is used in tuning/ray_hooks.py"


def test_rays_launcher_says_where_it_keeps_the_resolved_file() -> None:
    from ray.autoscaler._private import commands

    assert "_config_cache_path" in inspect.getsource(commands)  # launch/this_machine.py removes it


@pytest.mark.parametrize("name", ["mlflow.sharedViewState", "viewStateShareKey"])
def test_mlflows_page_reads_the_view_that_a_study_leaves_it(name: str) -> None:
    spec = find_spec("mlflow")
    assert spec is not None
    assert spec.origin is not None
    scripts = (Path(spec.origin).parent / "server" / "js" / "build").rglob("*.js")
    assert any(name in script.read_text(encoding="utf-8", errors="replace") for script in scripts)


def test_private_names_of_libraries_are_used_in_their_one_file() -> None:
    used = {(name, path) for path, name in private_names()}
    allowed = {(part, path) for name, path in HOOKS.items() for part in name.split(".")}
    allowed |= {(name, "tuning/optuna_hooks.py") for name in (*ATTRIBUTES, "_trial_id")}
    of_python = {("_ActionsContainer", "commands/arguments.py"), ("_ArgumentGroup", "commands/tune.py")}
    of_python |= {("_exit", "tuning/daemons.py")}
    of_python |= {("_replace", "datasets/depth.py")}  # of a named tuple, where it is public
    assert used - of_python <= allowed, "give it a row in HOOKS, and where it is used a reason and a way on without it"


def private_names() -> Iterator[tuple[str, str]]:
    """(file, name) of every underscored module or attribute that the package itself does not define."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    own = {name for tree in trees.values() for node in ast.walk(tree) for name in defined(node)}
    for path, tree in trees.items():
        for node in ast.walk(tree):
            names = node.attr if isinstance(node, ast.Attribute) and node.attr not in own else ""
            if isinstance(node, ast.ImportFrom):
                names = ".".join([node.module or "", *(alias.name for alias in node.names)])
            elif isinstance(node, ast.Import):
                names = ".".join(alias.name for alias in node.names)
            for name in names.split("."):
                if name.startswith("_") and not name.startswith("__") and name not in own:
                    yield path.relative_to(PACKAGE).as_posix(), name


def defined(node: ast.AST) -> Iterator[str]:
    """Names that a statement of ours makes: of functions, classes, variables and attributes of ``self``."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and ast.unparse(node.value) == "self":
        yield node.attr
