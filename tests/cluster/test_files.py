"""Every file in cluster/ passes what Ray and KubeRay check, without any cluster."""

from __future__ import annotations

import copy
import importlib.util
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.providers import _get_node_provider_cls
from ray.autoscaler._private.util import prepare_config, validate_config

from raytune_planes.tuning.nodes import AUTOSCALES, Node, may_start
from tests.cluster import kuberay

FOLDER = Path(__file__).resolve().parents[2] / "cluster"
DOCUMENTS = {path.name: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
LAUNCHED = [name for name, document in DOCUMENTS.items() if "kind" not in document]
KUBERNETES = [name for name, document in DOCUMENTS.items() if "kind" in document]
README = (FOLDER / "README.md").read_text()


@pytest.fixture(params=LAUNCHED)
def prepared(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A file as Ray's launcher prepares it: with the provider's defaults filled in."""
    config: dict[str, Any] = prepare_config(copy.deepcopy(DOCUMENTS[request.param]))
    return config


def commands(config: dict[str, Any]) -> list[str]:
    return [command for key, value in config.items() if key.endswith("_commands") for command in value]


def test_both_kinds_of_file_are_here() -> None:
    assert LAUNCHED == ["aws.yaml", "cluster.yaml", "gcp.yaml", "onprem.yaml"]
    assert KUBERNETES == ["kuberay-raycluster.yaml", "kuberay-rayjob.yaml"]


def test_rays_schema_accepts_the_file(prepared: dict[str, Any]) -> None:
    validate_config(prepared)


def test_the_provider_is_there(prepared: dict[str, Any]) -> None:
    assert _get_node_provider_cls(prepared["provider"])


def test_every_command_is_one_that_a_shell_understands(prepared: dict[str, Any]) -> None:
    for command in commands(prepared):
        parsed = subprocess.run(["bash", "-n", "-c", command], capture_output=True, text=True)
        assert parsed.returncode == 0, f"{command}\n{parsed.stderr}"
        assert "\n" not in command.strip(), f"folded in the wrong place: {command}"


def test_what_is_mounted_exists(prepared: dict[str, Any]) -> None:
    for remote, local in prepared["file_mounts"].items():
        assert remote.startswith("~/")
        if local.startswith("~/.ray/"):
            assert "get-auth-token --generate" in README  # the user makes it
        else:
            assert (FOLDER / local / "pyproject.toml").is_file(), local


def test_the_file_excludes_what_must_not_travel(prepared: dict[str, Any]) -> None:
    if prepared["file_mounts"]:
        assert {".venv", ".git", "results"} <= set(prepared["rsync_exclude"])


def test_scripts_that_commands_name_exist(prepared: dict[str, Any]) -> None:
    for script in re.findall(r"~/raytune_planes/(\S+\.(?:sh|py))", " ".join(commands(prepared))):
        assert os.access(FOLDER.parent / script, os.X_OK if script.endswith(".sh") else os.F_OK), script


def test_nothing_but_rays_own_ports_is_open_beyond_loopback(prepared: dict[str, Any]) -> None:
    heads = [c for c in prepared["head_start_ray_commands"] if "ray start" in c]
    assert len(heads) == 1
    assert "--dashboard-host=127.0.0.1" in heads[0]
    everything = " ".join(commands(prepared)) + (FOLDER / "mlflow_head.sh").read_text()
    assert not re.search(r"(?<![\d.])0\.0\.0\.0", everything)


def test_this_machines_head_offers_the_processors_that_the_provider_counts(prepared: dict[str, Any]) -> None:
    heads = [c for c in prepared["head_start_ray_commands"] if "ray start" in c]
    assert ("--num-cpus=$PROCESSORS" in heads[0]) == (prepared["provider"]["type"] == "external")


def test_every_host_of_a_cluster_wants_the_token(prepared: dict[str, Any]) -> None:
    if prepared["provider"]["type"] == "external":
        pytest.skip("this machine's token is made by the provider")
    assert prepared["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert "export RAY_AUTH_MODE=token" in " ".join(prepared["setup_commands"])


def test_no_default_of_ray_installs_another_ray(prepared: dict[str, Any]) -> None:
    assert "pip install -U" not in " ".join(commands(prepared))
    assert "nightly" not in " ".join(commands(prepared))


def test_the_environment_that_setup_writes_can_be_read_again_and_again(
    prepared: dict[str, Any], tmp_path: Path
) -> None:
    """Runs the two commands that touch the login shell, in a home of its own."""
    writing = [c for c in prepared["setup_commands"] if "raytune_planes.sh" in c]
    for command in writing * 2:
        subprocess.run(["bash", "-c", command], check=True, env={**os.environ, "HOME": str(tmp_path)})
    if writing:
        assert (tmp_path / ".bashrc").read_text() == ". ~/.raytune_planes.sh\n"
        show = ". ~/.bashrc; echo $PATH; echo $RAY_AUTH_MODE; echo $MLFLOW_TRACKING_URI"
        environment = {**os.environ, "HOME": str(tmp_path)}
        shown = subprocess.run(["bash", "-c", show], env=environment, capture_output=True, text=True, check=True).stdout
        path, mode, uri = shown.splitlines()
        assert path.startswith(f"{tmp_path}/raytune_planes/.venv/bin:")
        assert (mode, uri) == ("token", "http://127.0.0.1:5000")


def test_the_hosts_that_a_study_may_count_on_are_those_that_the_autoscaler_starts() -> None:
    for name in ("aws.yaml", "gcp.yaml"):
        said = re.search(r"AUTOSCALES=\"(.+?)\"", " ".join(DOCUMENTS[name]["setup_commands"]))
        assert said is not None
        types = DOCUMENTS[name]["available_node_types"]
        assert [count for count, _ in may_start(said[1])] == [types[kind]["max_workers"] for kind in ("gpu", "cpu")]
    gcp = {kind: t["resources"] for kind, t in DOCUMENTS["gcp.yaml"]["available_node_types"].items()}
    assert [node for _, node in may_start("4 x 4 CPU 1 GPU, 8 x 8 CPU")] == [
        Node(gcp[kind]["CPU"], gcp[kind].get("GPU", 0)) for kind in ("gpu", "cpu")
    ]
    for name in KUBERNETES:
        spec = DOCUMENTS[name]["spec"]
        spec = spec.get("rayClusterSpec", spec)
        head = spec["headGroupSpec"]["template"]["spec"]["containers"][0]
        said_there = {e["name"]: e["value"] for e in head["env"]}[AUTOSCALES]
        groups = []
        for group in spec["workerGroupSpecs"]:
            limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
            kind = Node(float(limits["cpu"]), float(limits.get("nvidia.com/gpu", 0)))
            groups.append((group["maxReplicas"], kind))
        assert may_start(said_there) == groups


def test_every_variable_of_ours_that_a_file_sets_is_read() -> None:
    read = {"RAYTUNE_PLANES_OUT", "RAYTUNE_PLANES_CACHE", AUTOSCALES}
    for path in (*FOLDER.glob("*.yaml"), FOLDER / "README.md"):
        assert set(re.findall(r"RAYTUNE_PLANES_[A-Z]+", path.read_text())) <= read, path.name


def test_workers_in_the_clouds_mount_the_heads_results_before_they_join() -> None:
    for name in ("aws.yaml", "gcp.yaml"):
        mount, start, _ = (c for c in DOCUMENTS[name]["worker_start_ray_commands"] if "stop" not in c)
        assert "$RAY_HEAD_IP:/srv/raytune /srv/raytune" in mount
        assert "ray start" in start
        assert "RAYTUNE_PLANES_OUT=/srv/raytune" in " ".join(DOCUMENTS[name]["setup_commands"])
        assert "/srv/raytune" in " ".join(DOCUMENTS[name]["head_setup_commands"])


@pytest.mark.parametrize("name", KUBERNETES)
def test_kuberay_knows_every_field(name: str) -> None:
    assert kuberay.problems(DOCUMENTS[name]) == []


@pytest.mark.parametrize("name", KUBERNETES)
def test_pods_mount_volumes_that_they_have(name: str) -> None:
    for pod in pods(DOCUMENTS[name]):
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        for container in pod["spec"]["containers"]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            assert container["resources"]["limits"].keys() == container["resources"]["requests"].keys()


def pods(document: dict[str, Any]) -> list[dict[str, Any]]:
    spec = document["spec"].get("rayClusterSpec", document["spec"])
    return [spec["headGroupSpec"]["template"], *(group["template"] for group in spec["workerGroupSpecs"])]


def test_both_kubernetes_files_describe_the_same_cluster() -> None:
    cluster, job = (DOCUMENTS[name]["spec"] for name in KUBERNETES)
    assert job["rayClusterSpec"] == cluster
    entry = shlex.split(job["entrypoint"])
    assert (FOLDER.parent / entry[1]).is_file()


@pytest.mark.parametrize(
    ("path", "value", "problem"),
    [
        (("spec", "rayVerison"), "2.60.0", "$.spec: Additional properties are not allowed ('rayVerison'"),
        (("spec", "headGroupSpec", "rayStartParams", "num-cpus"), 0, "0 is not of type 'string'"),
        (("spec", "autoscalerOptions", "version"), "v3", "'v3' is not one of ['v1', 'v2']"),
        (("spec", "authOptions"), "token", "$.spec.authOptions: 'token' is not of type 'object'"),
        (("spec", "workerGroupSpecs"), {}, "$.spec.workerGroupSpecs: {} is not of type 'array'"),
        (("apiVersion",), "ray.io/v1beta1", "'ray.io/v1beta1' is not one of ['ray.io/v1']"),
        (("spec", "headGroupSpec"), {"rayStartParams": {}}, "'template' is a required property"),
        (("spec", "workerGroupSpecs", 0, "template", "spec", "containers"), [{}], "'name' is a required property"),
        (("spec", "workerGroupSpecs", 1, "minReplicas"), None, "workerGroupSpecs[1].minReplicas: None is not"),
        (("spec", "autoscalerOptions", "resources"), {"limits": {"memory": "8 GB"}}, "'8 GB' does not match"),
        (("spec", "workerGroupSpecs", 0, "replicas"), 9, "cpu: replicas must lie between minReplicas and maxReplicas"),
        (("spec", "workerGroupSpecs", 0, "groupName"), "gpu", "two worker groups have one name"),
    ],
)
def test_a_planted_fault_is_found(path: tuple[str | int, ...], value: Any, problem: str) -> None:
    document = copy.deepcopy(DOCUMENTS["kuberay-raycluster.yaml"])
    inner: Any = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    assert any(problem in found for found in kuberay.problems(document))


def test_a_finished_job_that_keeps_its_cluster_cannot_have_a_time_to_live() -> None:
    document = copy.deepcopy(DOCUMENTS["kuberay-rayjob.yaml"])
    document["spec"]["shutdownAfterJobFinishes"] = False
    assert kuberay.problems(document) == ["ttlSecondsAfterFinished needs shutdownAfterJobFinishes"]


def test_the_rays_that_kubernetes_and_the_project_use_are_the_same() -> None:
    import ray

    for name in KUBERNETES:
        spec = DOCUMENTS[name]["spec"]
        assert spec.get("rayClusterSpec", spec)["rayVersion"] == ray.__version__


def test_the_readme_names_every_file_and_what_to_change_is_marked() -> None:
    for path in FOLDER.iterdir():
        if path.suffix in (".yaml", ".sh", ".py"):
            assert f"`{path.name}`" in README, path.name
    assert all("CHANGE-ME" in (FOLDER / name).read_text() for name in DOCUMENTS if name != "cluster.yaml")


def test_tune_takes_what_is_typed_and_the_clusters_places_for_the_rest() -> None:
    spec = importlib.util.spec_from_file_location("tune_script", FOLDER / "tune.py")
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    places = {"RAYTUNE_PLANES_OUT": "/srv/raytune", "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", "HOME": "/root"}
    assert script.arguments(["quick", "--set", "a=b c"], {}) == ["tune", "quick", "--set", "a=b c"]
    set_by_cluster = ["tune", "--out=/srv/raytune", "--tracking-uri=http://127.0.0.1:5000", "--trials", "4"]
    assert script.arguments(["--trials", "4"], places) == set_by_cluster
    typed = ["--out", "mine", "--tracking-uri=sqlite:///x.db"]
    assert script.arguments(typed, places) == ["tune", *typed]
    for variable in script.PLACES.values():
        assert variable in (FOLDER / "onprem.yaml").read_text()
