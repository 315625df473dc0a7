"""List the datasets, tasks, backbones and trackers that other installed packages bring."""

from __future__ import annotations

import argparse
import sys
from typing import Any

EXAMPLES = ("plugins",)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    from raytune_planes.catalog import CATALOG
    from raytune_planes.encoders import BACKBONES
    from raytune_planes.errors import did_you_mean
    from raytune_planes.plugins import GROUPS, PREFIX, Joined, installed, unread
    from raytune_planes.tasks import TASKS
    from raytune_planes.tracking.base import TRACKERS

    tables: dict[str, Joined[Any]] = {
        "datasets": CATALOG, "tasks": TASKS, "backbones": BACKBONES, "trackers": TRACKERS
    }  # fmt: skip
    rows = [(plugin, tables[kind].left_out.get(plugin.name, "")) for kind in GROUPS for plugin in installed(kind)]
    for group, package in unread().items():
        near = did_you_mean(group, [PREFIX + kind for kind in GROUPS])
        print(f"raytune-planes: group {group} of the package {package} is not read{near}", file=sys.stderr)
    if args.json:
        print(json.dumps([{**asdict(plugin), "left_out": why} for plugin, why in rows], indent=1))
        return
    for plugin, why in rows:
        state = "  left out, see above" if why else ""
        print(f"{plugin.kind:<10} {plugin.name:<20} {plugin.package} {plugin.version}  ({plugin.value}){state}")
    if not rows:
        print("No plugin is installed. A package brings one by an entry point of one of these groups:")
        for kind, description in GROUPS.items():
            print(f"  raytune_planes.{kind}: {description}")
