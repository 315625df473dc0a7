"""``train --out s3://…``: a training's folder in a bucket, continued and used on other machines."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import raytune_planes as rp
from raytune_planes.cli import main
from raytune_planes.datasets.synthetic import synthesise
from raytune_planes.errors import UserError
from raytune_planes.stores.address import parsed
from raytune_planes.stores.lease import StoreLease
from raytune_planes.tracking.reading import epochs_digest, read_epochs
from raytune_planes.training import checkpoint
from raytune_planes.training.checkpoint import Checkpoint
from tests.stores.server import Server

SMALL = ("--only=planesnet", "--set=budget.epochs=3", "--set=budget.steps_per_epoch=2", "--set=budget.batch_size=4")
MADE = {"config.yaml", "epochs.jsonl", "best.pt", "last.pt", "log.json", "MODEL_CARD.md"}


@pytest.fixture
def data(tmp_path: Path) -> tuple[str, ...]:
    synthesise(tmp_path / "data", planesnet=40, hrplanes=0, fgvc=0, fgvc_classes=2, seed=0)
    return (f"--data={tmp_path / 'data'}", f"--cache={tmp_path / 'cache'}")


def on(machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """From now on this process is another machine: its results are in another folder."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / machine))
    return tmp_path / machine


def test_a_training_that_was_cut_off_goes_on_from_the_bucket_on_another_machine_and_predicts_on_a_third(
    s3: Server,
    bucket: str,
    data: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out, words = f"s3://{bucket}/results/one", ("train", *data, *SMALL)
    assert main([*words, f"--out={tmp_path / 'calm'}"]) == 0
    save = Checkpoint.save

    def cut_off_after_the_second(self: Checkpoint, folder: Path) -> None:
        save(self, folder)
        if self.state["epoch"] == 2:
            raise KeyboardInterrupt

    on("first", tmp_path, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", cut_off_after_the_second)
        assert main([*words, f"--out={out}"]) == 130
    assert "Continue it with the same command and --resume" in capsys.readouterr().out
    assert "results/one/last.pt" in s3.names(bucket)

    on("second", tmp_path, monkeypatch)
    assert main([*words, f"--out={out}"]) == 2
    assert f"train: {out} holds a training already; give --resume to continue it" in capsys.readouterr().err
    assert main([*words, f"--out={out}", "--resume"]) == 0
    assert f"All of training one is in s3://{bucket}/results" in "".join(capsys.readouterr())
    objects = s3.objects(bucket, "results/one/")
    assert set(objects) >= {f"results/one/{name}" for name in MADE}
    for name in ("best.pt", "epochs.jsonl"):
        (tmp_path / name).write_bytes(objects[f"results/one/{name}"])
    mine, calm = (checkpoint.load(folder / "best.pt")["weights"] for folder in (tmp_path, tmp_path / "calm"))
    assert all(torch.equal(calm[name], mine[name]) for name in calm)
    digests = [epochs_digest(read_epochs(folder / "epochs.jsonl")[0]) for folder in (tmp_path, tmp_path / "calm")]
    assert digests[0] == digests[1]

    card = objects["results/one/MODEL_CARD.md"].decode()
    assert f"raytune-planes predict one IMAGE --studies s3://{bucket}/results`" in card, "as any machine has it"
    third = on("third", tmp_path, monkeypatch)
    picture = str(next((tmp_path / "data" / "planesnet").rglob("*.png")))
    answers = []
    for model in (["one", "--studies", f"s3://{bucket}/results"], [str(tmp_path / "calm" / "best.pt")]):
        assert main(["predict", *model, picture, "--json"]) == 0
        answers.append(capsys.readouterr().out)
    assert answers[0].replace(str(third), "") == answers[1].replace(str(third), "")


def test_a_training_that_another_machine_trains_is_refused(
    s3: Server,
    bucket: str,
    data: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from raytune_planes.stores.access import opened

    on("first", tmp_path, monkeypatch)
    results = parsed(f"s3://{bucket}")
    with StoreLease(opened(results), results, "one", lambda: None, "training"):
        assert main(["train", *data, *SMALL, f"--out={results}/one"]) == 2
    assert "training 'one' is being run by process" in (said := capsys.readouterr().err)
    assert "or choose another --out" in said
    assert main(["train", *data, *SMALL, f"--out={results}"]) == 2
    assert f"{results} is a whole bucket; name a folder in it, such as" in capsys.readouterr().err
    assert s3.names(bucket) == []


def test_a_training_from_python_returns_its_record(
    s3: Server, bucket: str, tmp_path: Path, data: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    on("first", tmp_path, monkeypatch)
    settings = {"budget.epochs": 1, "budget.steps_per_epoch": 2, "budget.batch_size": 4}
    record = rp.train(
        settings, data=tmp_path / "data", cache=tmp_path / "cache", out=f"s3://{bucket}/one", only="planesnet"
    )
    assert [epoch.samples for epoch in record.epochs] == [8]
    assert "one/best.pt" in s3.names(bucket)
    with pytest.raises(UserError, match="holds a training already"):
        rp.train(settings, data=tmp_path / "data", out=f"s3://{bucket}/one", only="planesnet")
