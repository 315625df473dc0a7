"""``python -m raytune_planes`` is ``raytune-planes``."""

import sys

from raytune_planes.cli import main

if __name__ == "__main__":
    sys.exit(main())
