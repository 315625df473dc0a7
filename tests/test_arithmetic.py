"""A GPU computes quickly unless it is asked to be exact, and a CPU as it always did."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from raytune_planes.arithmetic import WORKSPACE, autocast, precision, set_up
from raytune_planes.errors import UserError
from raytune_planes.settings import flatten
from raytune_planes.training.checkpoint import refuse_other
from tests.toy import toy_config

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def kernels() -> tuple[bool, bool, bool, bool]:
    """TF32 of products and of convolutions, the search for quick convolutions, and whether results repeat."""
    tf32 = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    return *tf32, torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()


@pytest.fixture
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(WORKSPACE, raising=False)
    product, convolution, benchmark, deterministic = kernels()
    yield
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = product, convolution
    torch.backends.cudnn.benchmark = benchmark
    torch.use_deterministic_algorithms(deterministic)


@pytest.mark.usefixtures("restored")
def test_a_gpu_takes_the_quick_kernels_unless_it_is_asked_to_be_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(GPU, exact=False)
    assert kernels() == (True, True, True, False)
    set_up(GPU, exact=True)
    assert kernels() == (False, False, False, True)
    set_up(GPU, exact=False)  # the next trial of the same process
    assert kernels() == (True, True, True, False)


@pytest.mark.usefixtures("restored")
def test_nothing_changes_for_a_cpu() -> None:
    before = kernels()
    set_up(CPU, exact=True)
    assert kernels() == before


def test_precision_is_low_only_on_gpus_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert precision("auto", exact=False, device=CPU) == "float32"
    assert precision("bfloat16", exact=False, device=CPU) == "bfloat16"
    for has, exact, expected in (
        (True, False, "bfloat16"),
        (True, True, "float32"),
        (False, False, "float32"),
    ):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, has=has: has)
        assert precision("auto", exact=exact, device=GPU) == expected


def test_autocast_reaches_products_only_where_it_is_low() -> None:
    a = torch.ones(2, 2)
    for low, expected in ((True, torch.bfloat16), (False, torch.float32)):
        with autocast(CPU, low):
            assert (a @ a).dtype == expected
    with autocast(CPU, low=True), autocast(CPU, low=False):
        assert (a @ a).dtype == torch.float32
    with autocast(torch.device("meta"), low=False):  # a device without autocast
        assert (a @ a).dtype == torch.float32


def test_exact_and_bfloat16_exclude_each_other() -> None:
    with pytest.raises(UserError, match=r"devices\.exact computes in float32, and precision = bfloat16 does not"):
        toy_config(devices__exact=True, precision="bfloat16")
    assert toy_config(devices__exact=True).precision == "auto"


def test_a_checkpoint_from_before_automatic_precision_is_resumed() -> None:
    mine, theirs = flatten(toy_config()), flatten(toy_config(precision="float32"))
    refuse_other(mine, {"config": theirs}, "last.pt")
    with pytest.raises(UserError, match="precision differs"):
        refuse_other(flatten(toy_config(precision="bfloat16")), {"config": theirs}, "last.pt")
