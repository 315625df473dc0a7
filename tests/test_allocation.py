"""Memory of a training: what a step frees stays with the process for the next one."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest
import torch

from raytune_planes.allocation import CHOSEN, ONE_HEAP, give_back, keep_freed_memory

GLIBC = hasattr(ctypes.CDLL(None), "mallopt")
TRAINS = """
import resource, threading
from raytune_planes.training.trainer import Trainer
from raytune_planes.training.workers import LocalWorker
from tests.benchmarks import workload

def train():
    config = workload.config(model__backbone__kind="efficientnet_lite0", budget__batch_size=16)
    data = workload.pictures(config, images=20)
    trainer = Trainer(config, data, workload.prompts(data), LocalWorker("cpu"))
    trainer.begin()
    trainer.train_epoch([*data] * 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    trainer.train_epoch([*data])
    print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // len(data))

thread = threading.Thread(target=train)  # as Tune does
thread.start()
thread.join()
"""


def faults(**environment: str) -> int:
    """How often a step of a training touched a page that the system had to clear first."""
    plain = {k: v for k, v in os.environ.items() if k not in CHOSEN}
    done = subprocess.run(
        [sys.executable, "-c", TRAINS], capture_output=True, text=True, check=True, env=plain | ONE_HEAP | environment
    )
    return int(done.stdout)


@pytest.mark.skipif(not GLIBC, reason="the C library has no mallopt")
def test_a_step_of_a_training_has_the_system_clear_no_pages_anew() -> None:
    as_it_comes = faults(MALLOC_TOP_PAD_="131072")  # glibc's default: what a user has chosen stays
    kept = faults()
    assert as_it_comes > 5000, as_it_comes  # 20 MiB
    assert kept * 10 <= as_it_comes, (kept, as_it_comes)


def test_what_the_user_has_chosen_for_memory_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "65536")
    assert keep_freed_memory.__wrapped__() == "MALLOC_TRIM_THRESHOLD_ is set in the environment"


def test_a_c_library_without_mallopt_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOSEN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("raytune_planes.allocation._library", object)
    assert keep_freed_memory.__wrapped__() == "the C library of this system has no mallopt"


@pytest.mark.parametrize("used", [True, False])
def test_a_process_that_takes_the_next_trial_gives_a_card_back_what_it_freed(
    used: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: used)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    give_back()
    assert emptied == ([True] if used else [])
