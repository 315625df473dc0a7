"""Prints the line of ``/etc/exports`` that gives a folder of the head to the cluster's own subnets, and to no others.

python nfs_exports.py FOLDER [CONFIG]         CONFIG: what Ray's launcher leaves on a head in the clouds
"""

from __future__ import annotations

import ipaddress
import os
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

CONFIG = "~/ray_bootstrap_config.yaml"
OPTIONS = "rw,no_subtree_check"


def subnets(config: Mapping[str, Any]) -> list[str]:
    """The subnets in which Ray starts hosts of the cluster, as ``address/bits``.

    Raises:
        ValueError: for a provider that is neither ``aws`` nor ``gcp``.
    """
    provider = config["provider"]
    if provider["type"] == "aws":
        kinds = config["available_node_types"].values()
        return _of_aws(provider["region"], {name for kind in kinds for name in kind["node_config"]["SubnetIds"]})
    if provider["type"] == "gcp":  # all hosts are in the one that the head is in
        return [str(ipaddress.ip_network(f"{_google('ip')}/{_google('subnetmask')}", strict=False))]
    raise ValueError(f"no subnets are known of provider type {provider['type']}")


def _of_aws(region: str, names: Iterable[str]) -> list[str]:
    import boto3

    found = boto3.client("ec2", region_name=region).describe_subnets(SubnetIds=sorted(names))
    return sorted(subnet["CidrBlock"] for subnet in found["Subnets"])


def _google(what: str) -> str:
    """What Google's metadata server tells of this host's network; its interface alone shows no subnet."""
    server = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")  # the variable of Google's own libraries
    address = f"http://{server}/computeMetadata/v1/instance/network-interfaces/0/{what}"
    request = urllib.request.Request(address, headers={"Metadata-Flavor": "Google"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        text: str = answer.read().decode()
    return text.strip()


def main(folder: str, config: str = CONFIG) -> None:
    found = subnets(yaml.safe_load(Path(config).expanduser().read_text(encoding="utf-8")))
    print(folder, *(f"{subnet}({OPTIONS})" for subnet in found))


if __name__ == "__main__":
    main(*sys.argv[1:])
