"""``aws.yaml`` from `ray up` to the last host's end, with Ray's own launcher against a fake of AWS: no account."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import boto3
import click
import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private import commands
from ray.autoscaler._private.providers import _get_node_provider
from ray.autoscaler.tags import (
    TAG_RAY_CLUSTER_NAME,
    TAG_RAY_LAUNCH_CONFIG,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from raytune_planes.tuning.nodes import Node, may_start
from tests.cluster.test_head_setup import nfs_exports
from tests.cluster.test_host_needs import FOLDER

REGION, ROLE = "us-west-2", "ray-autoscaler-v1"
FILE = (FOLDER / "aws.yaml").read_text()


class Ssh:
    """Stands for the programs ssh and rsync, which Ray's launcher starts: keeps what it was asked for."""

    def __init__(self, fails_at: str = "") -> None:
        self.commands: list[str] = []
        self._fails_at = fails_at

    def check_call(self, words: list[str], **options: Any) -> None:
        self.commands.append(" ".join(words))
        if self._fails_at and self._fails_at in self.commands[-1]:
            raise subprocess.CalledProcessError(1, words)

    def check_output(self, words: list[str], **options: Any) -> bytes:
        self.check_call(words)
        return b""

    def when(self, part: str) -> int:
        """The number of the first command that contains ``part``."""
        return next(number for number, command in enumerate(self.commands) if part in command)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The file as `ray up` prepares it in an account where Ray has made its role before, the image looked up."""
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret")
    (tmp_path / "checkout" / "cluster").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "checkout" / "cluster")  # Ray reads all that it copies, also what is excluded
    for name, value in {"HOME": tmp_path, "RAY_USAGE_STATS_ENABLED": "0"}.items():
        monkeypatch.setenv(name, str(value))
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "fake")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        iam = boto3.client("iam", region_name=REGION)
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument="{}")
        iam.create_instance_profile(InstanceProfileName=ROLE)
        iam.add_role_to_instance_profile(InstanceProfileName=ROLE, RoleName=ROLE)
        ec2 = boto3.client("ec2", region_name=REGION)
        image = ec2.register_image(Name="DLAMI", Architecture="x86_64", RootDeviceName="/dev/sda1")["ImageId"]
        document = yaml.safe_load(FILE.replace("ami-CHANGE-ME", image))
        yield commands._bootstrap_config(document, no_config_cache=True)


def hosts(**wanted: str) -> list[dict[str, Any]]:
    """The instances that EC2 knows, of one state where asked for."""
    found = boto3.client("ec2", region_name=REGION).describe_instances()["Reservations"]
    every = [instance for reservation in found for instance in reservation["Instances"]]
    return [host for host in every if host["State"]["Name"] == wanted.get("state", host["State"]["Name"])]


def up(config: dict[str, Any], ssh: Ssh) -> None:
    options = {"no_restart": False, "restart_only": False, "yes": True, "override_cluster_name": None}
    with redirect_stdout(io.StringIO()):
        commands.get_or_create_head_node(config, "aws.yaml", **options, _runner=ssh)


def test_the_types_of_hosts_are_what_the_study_is_told_that_may_start(config: dict[str, Any]) -> None:
    kinds = config["available_node_types"]
    said = next(c for c in config["setup_commands"] if "AUTOSCALES" in c).partition('AUTOSCALES="')[2].partition('"')[0]
    found = [kinds[kind]["resources"] for kind in ("gpu", "cpu")]  # of EC2's own list of types
    assert [node for _, node in may_start(said)] == [Node(f["CPU"], f.get("GPU", 0)) for f in found]
    assert kinds["head"]["resources"] == {"CPU": 0}


def test_the_network_opens_ssh_alone_to_the_world(config: dict[str, Any]) -> None:
    (group,) = {
        name for kind in config["available_node_types"].values() for name in kind["node_config"]["SecurityGroupIds"]
    }
    rules = boto3.resource("ec2", region_name=REGION).SecurityGroup(group).ip_permissions
    world = [rule for rule in rules if rule["IpRanges"] or rule["Ipv6Ranges"]]
    assert [(rule["FromPort"], rule["ToPort"]) for rule in world] == [(22, 22)]
    within = [pair["GroupId"] for rule in rules if rule not in world for pair in rule["UserIdGroupPairs"]]
    assert within == [group]


def test_results_are_exported_to_the_subnets_in_which_hosts_start(config: dict[str, Any]) -> None:
    zones = {"us-west-2a", "us-west-2b"}
    every = boto3.client("ec2", region_name=REGION).describe_subnets()["Subnets"]
    assert nfs_exports.subnets(config) == sorted(s["CidrBlock"] for s in every if s["AvailabilityZone"] in zones)
    assert len(every) > len(zones)  # there are others


def test_ray_up_starts_a_head_and_sets_it_up_in_this_order(config: dict[str, Any]) -> None:
    ssh = Ssh()
    up(config, ssh)
    (head,) = hosts(state="running")
    assert head["InstanceType"] == "m5.xlarge"
    assert head["IamInstanceProfile"]["Arn"].endswith(f"/{ROLE}")
    assert {tag["Key"]: tag["Value"] for tag in head["Tags"]}[TAG_RAY_NODE_KIND] == "head"
    order = (
        "~/ray_bootstrap_config.yaml",  # which nfs_exports.py reads
        "uv sync --frozen",
        "cluster/host_needs.py",
        "cluster/apt_get.sh nfs-kernel-server",
        "cluster/nfs_exports.py",
        "ray start --head",
        "cluster/mlflow_head.sh",
    )
    numbers = [ssh.when(part) for part in order]
    assert numbers == sorted(numbers), list(zip(order, numbers, strict=True))
    assert all(f"ubuntu@{head['PublicIpAddress']}" in command for command in ssh.commands if "ssh" in command)


def test_a_head_whose_driver_is_too_old_ends_ray_up_before_anything_starts(config: dict[str, Any]) -> None:
    ssh = Ssh(fails_at="cluster/host_needs.py")
    with pytest.raises(click.ClickException, match="Failed to setup head node"):  # exit status 1
        up(config, ssh)
    assert not [command for command in ssh.commands if "ray start" in command]
    assert len(hosts()) == 1


@pytest.mark.filterwarnings("ignore:Exception ignored in.*aws.yaml")  # Ray leaves the file to the collector
def test_data_are_copied_to_the_folder_that_every_worker_mounts(config: dict[str, Any], tmp_path: Path) -> None:
    """By the two lines of the README."""
    readme = (FOLDER / "README.md").read_text()
    copied = re.search(
        r"^ +ray rsync-up aws\.yaml (\S+) (\S+)\n +ray submit aws\.yaml tune\.py -- --data (\S+)", readme, re.M
    )
    assert copied is not None
    source, target, data = copied.groups()
    assert target.rstrip("/") == data
    up(config, Ssh())
    image = config["available_node_types"]["head"]["node_config"]["ImageId"]
    file, ssh = tmp_path / "aws.yaml", Ssh()
    file.write_text(FILE.replace("ami-CHANGE-ME", image))
    with redirect_stdout(io.StringIO()):
        commands.rsync(str(file), source, target, None, down=False, no_config_cache=True, _runner=ssh)
    (head,) = hosts(state="running")
    (command,) = [command for command in ssh.commands if command.startswith("rsync ")]
    assert command.endswith(f" {source} ubuntu@{head['PublicIpAddress']}:{target}")
    mounts = [c for c in config["worker_start_ray_commands"] if "mount -t nfs" in c]
    assert mounts
    assert all(data.startswith(f"{c.split()[-1]}/") for c in mounts)


def test_workers_are_made_tagged_listed_and_ended_with_their_disks(config: dict[str, Any]) -> None:
    provider = _get_node_provider(config["provider"], config["cluster_name"])
    for kind in ("gpu", "cpu"):
        made = config["available_node_types"][kind]["node_config"]
        tags = {TAG_RAY_NODE_KIND: "worker", TAG_RAY_USER_NODE_TYPE: kind, TAG_RAY_LAUNCH_CONFIG: "x"}
        provider.create_node(made, tags, 1)
    (gpu,) = provider.non_terminated_nodes({TAG_RAY_USER_NODE_TYPE: "gpu"})
    both = provider.non_terminated_nodes({TAG_RAY_NODE_KIND: "worker"})
    assert len(both) == 2
    assert all(provider.is_running(name) for name in both)
    provider.set_node_tags(gpu, {TAG_RAY_NODE_STATUS: "up-to-date"})
    assert provider.non_terminated_nodes({TAG_RAY_NODE_STATUS: "up-to-date"}) == [gpu]
    assert provider.node_tags(gpu)[TAG_RAY_CLUSTER_NAME] == "raytune-aws"
    host = next(host for host in hosts() if host["InstanceId"] == gpu)
    assert (host["InstanceType"], host["InstanceLifecycle"]) == ("g5.xlarge", "spot")
    assert host["ImageId"] == config["available_node_types"]["head"]["node_config"]["ImageId"]

    volumes = boto3.resource("ec2", region_name=REGION).volumes
    assert [volume.size for volume in volumes.all()] == [200, 200]
    provider.terminate_node(gpu)
    provider.terminate_nodes([name for name in both if name != gpu])
    assert provider.non_terminated_nodes({}) == []
    assert {host["State"]["Name"] for host in hosts()} == {"terminated"}  # a stopped one would still cost its disk
    assert list(volumes.all()) == []
