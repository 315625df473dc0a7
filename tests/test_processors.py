"""How many processors a process may use, from what the system tells: affinity and the quotas of control groups."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from raytune_planes import processors
from raytune_planes.processors import allowed, in_words, quotas, tensor_threads
from raytune_planes.serving.predictor import Predictor
from raytune_planes.training import checkpoint
from raytune_planes.training.loop import train
from tests.toy import toy_config, toy_data, toy_prompts
from tests.training.test_loop import GOAL


def v2(folder: Path, limits: dict[str, str], *, path: str = "/user/job", root: str = "/") -> Path:
    """What Linux tells of a process in the group ``path`` of version 2; ``limits``: folder -> content of cpu.max."""
    mount = folder / "cgroup"
    for inside, content in limits.items():
        (mount / inside).mkdir(parents=True, exist_ok=True)
        (mount / inside / "cpu.max").write_text(content + "\n")
    proc = folder / "proc"
    proc.mkdir()
    (proc / "cgroup").write_text(f"0::{path}\n")
    (proc / "mountinfo").write_text(
        f"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        f"31 22 0:27 {root} {mount} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
    )
    return proc


def v1(folder: Path, quota: str, period: str = "100000") -> Path:
    """The same for version 1: a mount for each controller, of which ``cpu`` counts."""
    mount, proc = folder / "cpu,cpuacct", folder / "proc"
    (mount / "docker/abc").mkdir(parents=True)
    (mount / "docker/abc/cpu.cfs_quota_us").write_text(quota + "\n")
    (mount / "docker/abc/cpu.cfs_period_us").write_text(period + "\n")
    proc.mkdir()
    (proc / "cgroup").write_text("4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n1:cpuset:/\n0::/\n")
    (proc / "mountinfo").write_text(
        f"33 32 0:30 / {folder}/cpuset rw,relatime - cgroup cgroup rw,cpuset\n"
        f"34 32 0:31 / {mount} rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    )
    return proc


@pytest.fixture
def large_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen cores, of which the affinity leaves twelve."""
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize(
    ("limits", "granted"),
    [
        ({"user/job": "max 100000"}, 12),
        ({"user/job": "300000 100000"}, 3),
        ({"user/job": "250000 100000"}, 2),  # a part of a processor is not counted
        ({"user/job": "20000 100000"}, 1),
        ({"user/job": "1600000 100000"}, 12),  # more than the affinity leaves
        ({"user/job": "800000 100000", "user": "400000 100000", "": "max 100000"}, 4),  # a group above limits as well
        ({"user": "500000 50000", "user/job": "max 50000"}, 10),
        ({"user/job": "nonsense"}, 12),
        ({"another": "100000 100000"}, 12),
    ],
)
def test_the_strictest_quota_of_a_group_and_those_above_it_counts(
    tmp_path: Path, limits: dict[str, str], granted: int
) -> None:
    assert allowed(v2(tmp_path, limits)) == granted


@pytest.mark.usefixtures("large_machine")
def test_a_container_that_sees_its_own_group_as_the_root_is_limited_by_it(tmp_path: Path) -> None:
    proc = v2(tmp_path, {"": "200000 100000"}, path="/docker/abc", root="/docker/abc")
    assert allowed(proc) == 2


@pytest.mark.usefixtures("large_machine")
@pytest.mark.parametrize(("quota", "granted"), [("-1", 12), ("450000", 4), ("50000", 1)])
def test_version_1_of_control_groups_limits_too(tmp_path: Path, quota: str, granted: int) -> None:
    assert allowed(v1(tmp_path, quota)) == granted


@pytest.mark.usefixtures("large_machine")
def test_what_limits_is_told_in_words(tmp_path: Path) -> None:
    proc = v2(tmp_path, {"user/job": "250000 100000"})
    assert quotas(proc) == [2.5]
    assert in_words(proc) == "2 of this machine's 16 processors: affinity 12, quota 2.5"


@pytest.mark.usefixtures("large_machine")
def test_a_system_without_proc_and_affinity_gives_the_machines_number_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity")
    assert allowed(tmp_path / "nowhere") == 16
    told = "16 of this machine's 16 processors: this system tells neither affinity nor quota"
    assert in_words(tmp_path / "nowhere") == told


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_a_process_bound_to_one_processor_may_use_one() -> None:
    code = (
        "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from raytune_planes.processors import allowed\nprint(allowed())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_tensors_take_no_more_threads_than_there_are_processors_and_then_those_of_before(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processors, "allowed", lambda: 2)
    before = torch.get_num_threads()
    with tensor_threads(7):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(("trained", "computed"), [(1, 1), (3, 3), (64, 4)])
def test_a_model_answers_with_the_threads_of_its_training_where_there_are_as_many_processors(
    trained: int, computed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processors, "allowed", lambda: 4)
    train(toy_config(budget__epochs=1), toy_data(), toy_prompts(), GOAL, report=lambda _, kept: kept.save(tmp_path))
    state = checkpoint.load(tmp_path / "best.pt")
    predictor = Predictor({**state, "config": {**state["config"], "devices.threads": trained}})
    seen, before = list[int](), torch.get_num_threads()
    predictor.model.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    predictor.outputs("planesnet", torch.zeros(2, 3, 16, 16, dtype=torch.uint8))
    assert seen == [computed]
    assert torch.get_num_threads() == before


def test_nothing_else_asks_for_the_number_of_cores() -> None:
    package = Path(processors.__file__).parent
    asking = ("cpu_count", "sched_getaffinity", "num_cores")
    found = [p.name for p in package.rglob("*.py") if any(word in p.read_text(encoding="utf-8") for word in asking)]
    assert found == ["processors.py"]


@pytest.mark.parametrize(("mine", "seen"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_asleep_in_every_verb_unless_the_user_chose(mine: str | None, seen: str) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "OMP_WAIT_POLICY"}
    code = (
        "import os\nfrom raytune_planes.cli import main\nmain(['check', 'quick'])\nprint(os.environ['OMP_WAIT_POLICY'])"
    )
    environment |= {"OMP_WAIT_POLICY": mine} if mine else {}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == seen
