"""A cluster of a head and two workers that are separate hosts: `ray up`, a study that spans them, `ray down`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.hosts import ADDRESSES, HOME, PROJECT, SERVERS, Hosts, hosts, why_not

FILE = "/srv/raytune/onprem.yaml"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

COUNT_NODES = "import ray; ray.init(log_to_driver=False); print('nodes', sum(n['Alive'] for n in ray.nodes()))"
RUNS = """
import json, mlflow
client = mlflow.MlflowClient("http://127.0.0.1:5000")
runs = client.search_runs([e.experiment_id for e in client.search_experiments()], "tags.kind != 'reference'")
print("runs", json.dumps([[run.info.status, "mlflow.parentRunId" in run.data.tags] for run in runs]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """The hosts, with the cluster's file as a user would edit it: addresses, user, key."""
    if reason := why_not(tmp_path_factory.mktemp("tried")):
        pytest.skip(reason)
    file = yaml.safe_load((PROJECT / "cluster" / "onprem.yaml").read_text())
    file["provider"] |= {"head_ip": ADDRESSES["head"], "worker_ips": [ADDRESSES["w1"], ADDRESSES["w2"]]}
    file["auth"] = {"ssh_user": "root", "ssh_private_key": "~/.ssh/id_ed25519"}
    for key in ("head_start_ray_commands", "worker_start_ray_commands"):
        # Each host sees all cores of this machine: with one CPU a host, two workers must be on two hosts.
        file[key] = [
            c.replace("ray start ", "ray start --num-cpus=1 --object-store-memory=100000000 ") for c in file[key]
        ]
    with hosts(tmp_path_factory.mktemp("hosts")) as found:
        (found.shared / "onprem.yaml").write_text(yaml.safe_dump(file, width=10_000))
        found.run("laptop", "umask 077 && ray get-auth-token --generate")
        yield found


def raylets(made: Hosts) -> dict[str, int]:
    return {host: int(made.run(host, "pgrep -c raylet || true")) for host in SERVERS}


def test_a_study_spans_hosts_and_the_cluster_leaves_none_of_its_processes(made: Hosts) -> None:
    made.run("laptop", f"ray up --yes {FILE}")
    deadline = time.monotonic() + 600
    (made.shared / "count.py").write_text(COUNT_NODES)
    while "nodes 3" not in made.run("laptop", f"ray submit {FILE} /srv/raytune/count.py"):
        assert time.monotonic() < deadline, "the workers did not join"
        time.sleep(5)
    assert raylets(made) == dict.fromkeys(SERVERS, 1)
    tokens = {made.run(host, "stat -c %a ~/.ray/auth_token; cat ~/.ray/auth_token") for host in ("laptop", *SERVERS)}
    assert len(tokens) == 1
    assert tokens.pop().startswith("600\n")

    data = "--planesnet 60 --hrplanes 4 --fgvc 24 --fgvc-classes 2"
    made.run("head", f"cd && raytune-planes synth /srv/raytune/data {data}")
    study = "--name spanning --trials 1 --workers 2 --data /srv/raytune/data --set budget.epochs=1"
    output = made.run("laptop", f"ray submit {FILE} tune.py -- {study}", timeout_s=1200)
    trial = next((made.shared / "spanning" / "trials").iterdir())
    assert json.loads((trial / "end.json").read_text())["end"] == "completed", output
    made.run("laptop", f"ray submit {FILE} tune.py -- --workers 9", status=1)  # ssh: any failure is 1

    (made.shared / "runs.py").write_text(RUNS)
    line = next(
        li for li in made.run("laptop", f"ray submit {FILE} /srv/raytune/runs.py").splitlines() if "runs [" in li
    )
    runs = json.loads(line.partition("runs ")[2])
    assert sorted(runs) == [["FINISHED", False], ["FINISHED", True]]  # the study and its trial, by the driver alone

    made.run("laptop", f"ray exec {FILE} 'bash ~/raytune_planes/cluster/mlflow_head.sh stop'")
    made.run("laptop", f"ray down --yes {FILE}")
    deadline = time.monotonic() + 120
    while sum(raylets(made).values()):
        assert time.monotonic() < deadline, raylets(made)
        time.sleep(2)
    assert made.run("head", "pgrep -c mlflow || true") == "0\n"
    assert not (Path(HOME) / "raytune_planes").exists()  # this machine itself has seen nothing of it
