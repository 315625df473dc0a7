"""Whether trials that share a GPU of this machine compute at the same time: NVIDIA's multi-process service (MPS)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

PIPES, DEFAULT = "CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps"  # NVIDIA's own choice
"""The variable that names the folder of the service's pipes, for it and for those who use it, and where it is else."""
CONTROL = "control"
"""The pipe of the daemon, there as long as it runs."""
DRIVER = Path("/dev/nvidiactl")
"""There where this machine has an NVIDIA GPU and a driver for it."""


def told(share: float, environ: Mapping[str, str], driver: Path = DRIVER) -> Iterator[str]:
    """What to say of MPS where trials get ``share`` of a GPU each; nothing where none is shared here.

    CUDA connects each process to a daemon that runs, so there is nothing to switch on in a trial; the limit of its
    memory holds with it as well.
    """
    if not 0 < share < 1 or not driver.exists():
        return
    if (Path(environ.get(PIPES) or DEFAULT) / CONTROL).exists():
        yield "NVIDIA MPS runs on this machine: trials that share a GPU compute at the same time"
    else:
        yield (
            "trials that share a GPU take turns on it, as NVIDIA MPS does not run on this machine; "
            "'nvidia-cuda-mps-control -d' on each host before the study lets them compute at the same time"
        )
