"""A study as a script that Ray can run anywhere: ``ray submit cluster.yaml tune.py -- --trials 4``."""

from __future__ import annotations

import sys

from raytune_planes.cli import main

if __name__ == "__main__":
    sys.exit(main(["tune", *sys.argv[1:]]))
