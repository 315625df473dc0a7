"""``gcp.yaml`` as `ray up` prepares it, and its hosts from first to last, with Ray's launcher and a fake of Google."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private import commands
from ray.autoscaler._private.providers import _get_node_provider
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_NODE_NAME, TAG_RAY_NODE_STATUS, TAG_RAY_USER_NODE_TYPE

from tests.cluster.google import Google, google, instance_problems
from tests.cluster.test_host_needs import FOLDER

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # Google's client leaves sockets to the collector
FILE = yaml.safe_load((FOLDER / "gcp.yaml").read_text())


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Google]:
    monkeypatch.setenv("HOME", str(tmp_path))
    with google(monkeypatch) as made:
        yield made


@pytest.fixture
def config(cloud: Google) -> dict[str, Any]:
    """The file as `ray up` prepares it, with the project's name filled in and a token in place of gcloud's."""
    document = copy.deepcopy(FILE)
    document["provider"] |= {
        "project_id": "aircraft-1",
        "gcp_credentials": {"type": "credentials_token", "credentials": "token"},
    }
    prepared: dict[str, Any] = commands._bootstrap_config(document, no_config_cache=True)
    return prepared


def test_the_head_gets_an_account_and_all_hosts_the_same_subnet(config: dict[str, Any], cloud: Google) -> None:
    (account,) = config["head_node"]["serviceAccounts"]
    assert account["email"] in cloud.accounts
    assert "roles/storage.objectAdmin" in cloud.roles  # MLflow's artifacts
    subnets = {k["node_config"]["networkInterfaces"][0]["subnetwork"] for k in config["available_node_types"].values()}
    assert subnets == {"projects/aircraft-1/regions/us-west1/subnetworks/default"}
    (key,) = cloud.metadata["items"]
    assert key["key"] == "ssh-keys"
    assert key["value"].startswith("ubuntu:ssh-rsa ")


def test_hosts_are_made_tagged_listed_and_ended(config: dict[str, Any], cloud: Google) -> None:
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    for kind, made in config["available_node_types"].items():
        node = {**(config["head_node"] if kind == "head" else {}), **made["node_config"]}
        tags = {TAG_RAY_NODE_KIND: "head" if kind == "head" else "worker", TAG_RAY_USER_NODE_TYPE: kind}
        provider.create_node(node, {**tags, TAG_RAY_NODE_NAME: f"ray-{kind}"}, 1)
    workers = provider.non_terminated_nodes({TAG_RAY_NODE_KIND: "worker"})
    assert len(workers) == 2
    assert len(provider.non_terminated_nodes({})) == 3
    (gpu,) = provider.non_terminated_nodes({TAG_RAY_USER_NODE_TYPE: "gpu"})
    provider.set_node_tags(gpu, {TAG_RAY_NODE_STATUS: "up-to-date"})
    assert provider.non_terminated_nodes({TAG_RAY_NODE_STATUS: "up-to-date"}) == [gpu]
    asked = cloud.instances[gpu]
    assert asked["machineType"] == "zones/us-west1-b/machineTypes/g2-standard-4"
    assert asked["scheduling"] == {"preemptible": True, "onHostMaintenance": "TERMINATE"}
    assert all(disk["autoDelete"] for disk in asked["disks"])
    provider.terminate_nodes(provider.non_terminated_nodes({}))
    assert provider.non_terminated_nodes({}) == []


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("scheduling", [{"preemptible": True}], ".scheduling: [{'preemptible': True}] is no object"),
        ("scheduling", {"onHostMaintenance": "STOP"}, ".scheduling.onHostMaintenance: 'STOP' is none of MIGRATE, TERM"),
        ("machinetype", "g2-standard-4", ": no field 'machinetype'"),
        ("metadata", {"items": {"key": "x"}}, ".metadata.items: {'key': 'x'} is no array"),
    ],
)
def test_a_planted_fault_in_a_request_is_found(key: str, value: Any, problem: str) -> None:
    asked = FILE["available_node_types"]["gpu"]["node_config"]
    assert instance_problems(asked) == []
    (found,) = instance_problems({**asked, key: value})
    assert problem in found
