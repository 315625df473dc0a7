"""Where a trial computes."""

from __future__ import annotations

from typing import Literal

from raytune_planes.section import Count, Section


class Devices(Section):
    """Where the two encoders run; ``auto`` takes an NVIDIA GPU when the worker has one."""

    vision: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Of the image model. ``mps``, the GPU of Apple's processors, is taken where it is asked for, by one worker; it has
    not been tried. With the environment variable ``PYTORCH_ENABLE_MPS_FALLBACK=1`` the CPU does what it lacks."""
    text: Literal["auto", "cpu", "cuda"] = "cpu"
    """Of the prompts' encoder. Where it trains with several workers, the same as ``vision``."""
    threads: Count = 1
    """CPU threads of each worker. Sums may round differently with another number."""
    compile: Literal["no", "auto", "yes"] = "no"
    """``torch.compile`` of the image encoder, as far as datasets share it: ``yes`` before the first step; ``auto`` on a
    GPU, once an epoch has shown that what is left of the training repays it. Results differ in rounding."""
    decode: Literal["cpu", "cuda"] = "cpu"
    """What decodes pictures that are kept as JPEG (``datasets.NAME.kept``) in training and validation. ``cuda``: the
    NVIDIA GPU of the image model, by torchvision, which differs from a CPU by a few grey levels. Whether it gains
    anything, ``tests/gpu/run`` measures; the CPU decodes ahead of the steps anyway. Its buffers do not count as a
    trial's part of the memory. The CPU decodes whole scenes that are evaluated, and all where torchvision cannot,
    which a note says."""
    exact: bool = False
    """Of a GPU: float32 throughout and kernels that give the same bits each time, in place of bfloat16, TF32 and the
    quickest kernels. Results repeat, and compare with a CPU's; a step takes several times as long. A CPU is exact."""
