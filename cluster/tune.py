"""A study as a script that Ray can run anywhere: ``ray submit cluster.yaml tune.py -- --trials 4``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from raytune_planes.cli import main

PLACES = {
    "--out": "RAYTUNE_PLANES_OUT",
    "--cache": "RAYTUNE_PLANES_CACHE",
    "--tracking-uri": "MLFLOW_TRACKING_URI",
}
"""What a cluster's file sets for all its studies, so that the same arguments work on each; an argument wins."""


def arguments(typed: Sequence[str], environment: Mapping[str, str]) -> list[str]:
    """``tune`` with what was typed, and with the cluster's places where none was typed."""
    given = {word.split("=")[0] for word in typed}
    places = [f"{o}={environment[v]}" for o, v in PLACES.items() if environment.get(v) and o not in given]
    return ["tune", *places, *typed]


if __name__ == "__main__":
    sys.exit(main(arguments(sys.argv[1:], os.environ)))
