"""Studies that are shot at, beside the same studies in peace: whatever is killed, they must come to the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from raytune_planes.datasets.synthetic import synthesise
from tests.benchmarks.tables import Table
from tests.chaos.agreement import differences, disagreements
from tests.chaos.attack import SPACE, Study, attack, blows
from tests.chaos.hosts import TRIALS, disagreements_after, on_loopback, play, prepared
from tests.chaos.server import Server

LIMIT_S = 3600.0


@dataclass(frozen=True)
class Scene:
    """A study and what is killed in it."""

    trials: int
    workers: int
    killed: Sequence[str]
    seed: int


FULL = (
    Scene(12, 1, ("driver", "driver", "driver", "actor", "server"), seed=2),
    Scene(3, 2, ("worker", "actor", "driver"), seed=5),
)
QUICK = (Scene(4, 1, ("driver", "actor", "server"), seed=1),)


def measure(quick: bool) -> Table:
    """Raises AssertionError when a study ended otherwise than in peace."""
    rows, figures = [], {}
    root = Path(tempfile.mkdtemp(prefix="chaos-"))
    synthesise(root / "data", planesnet=48, hrplanes=4, fgvc=24, fgvc_classes=3, seed=0, scene_side=320)
    (root / "chaos.yaml").write_text(SPACE.format(epochs=4, steps=6))
    for number, scene in enumerate(QUICK if quick else FULL):
        ratio, done, faults = _play(root / str(number), root, scene)
        name = f"{scene.trials} trials of {scene.workers} worker{'s' * (scene.workers > 1)}"
        rows.append((name, str(len(done)), f"{ratio:.1f}", str(len(faults))))
        figures[name] = {"killed": done, "time against peace": ratio, "faults": faults}
        if faults:
            raise AssertionError("\n".join([f"{name}, in {root}:", *faults]))
    name = "drained, late, killed and restarted hosts"
    study = prepared(root / "hosts")
    with on_loopback() as stage:
        faults = play(study, stage, limit_s=LIMIT_S)
    if faults := [*faults, *disagreements_after(study)]:
        raise AssertionError("\n".join([f"{name}, in {root}:", *faults]))
    rows.append((f"{TRIALS} trials on {name}", "3", "", "0"))
    figures[name] = {"faults": faults}
    shutil.rmtree(root)
    header = ("study", "killed", "time against peace", "differences")
    return Table("Chaos: processes killed with SIGKILL at seeded moments, then --resume", header, rows, figures)


def _play(folder: Path, root: Path, scene: Scene) -> tuple[float, list[str], list[str]]:
    server = Server(folder / "mlflow")
    server.start()
    server.wait()
    words = (str(root / "chaos.yaml"), "--data", str(root / "data"), "--cache", str(root / "cache"), "--seed", "3")
    limits = ("--concurrent", "1", "--trials", str(scene.trials), "--workers", str(scene.workers))
    names = ("calm", "shot")
    calm, shot = (Study(folder / "out", name, (*words, *limits, "--tracking-uri", server.uri)) for name in names)
    try:
        started = time.monotonic()
        attack(calm, (), None, limit_s=LIMIT_S)
        peace_s = time.monotonic() - started
        plan = blows(scene.killed, scene.seed, last=max(len(scene.killed) + 2, int(calm.epochs * 0.9)))
        done = attack(shot, plan, server, limit_s=LIMIT_S)
        ratio = (time.monotonic() - started - peace_s) / peace_s
        server.wait()
        sync = [sys.executable, "-m", "raytune_planes", "sync", "shot", "--out", str(shot.out)]
        subprocess.run([*sync, "--tracking-uri", server.uri], check=True)
        faults = [f"process left: {title}" for title in shot.left()]
        faults += [] if len(done) == len(plan) else [f"only {done} of {len(plan)} blows struck"]
        faults += disagreements(shot.folder, server.uri, scene.trials) + differences(calm.folder, shot.folder)
    finally:
        server.kill()
    return ratio, done, faults
