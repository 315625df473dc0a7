"""Results in a bucket: sent in order, only what changed, and complete after the store was away."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from raytune_planes.commands.stored import ORDER
from raytune_planes.errors import UserError
from raytune_planes.stores import sending
from raytune_planes.stores.access import StoreUnavailable
from raytune_planes.stores.address import parsed
from raytune_planes.stores.mirror import Mirror
from raytune_planes.stores.sending import Sender
from tests.stores.server import Server


def mirror(bucket: str, folder: Path) -> Mirror:
    return Mirror(
        parsed(f"s3://{bucket}/results"), folder, lambda n: ORDER.get(n.rpartition("/")[2], 0), lambda _: None
    )


def kept(name: str) -> bool:
    return not any(part.startswith(".") for part in name.split("/"))


def put(folder: Path, **texts: str) -> None:
    """Files by name, ``__`` for a slash and ``_`` for a dot."""
    for name, text in texts.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def stored(s3: Server, bucket: str) -> dict[str, str]:
    return {name.removeprefix("results/"): text.decode() for name, text in s3.objects(bucket, "results/").items()}


def changes(s3: Server) -> list[tuple[str, str]]:
    """Objects written and removed, in order, since the last look."""
    told = [(m, path.partition("?")[0].rpartition("/")[2]) for m, path in s3.line.requests if m in ("PUT", "DELETE")]
    s3.line.requests.clear()
    return [(method, name) for method, name in told if name]


def test_records_are_sent_after_the_files_that_they_name(s3: Server, bucket: str, tmp_path: Path) -> None:
    own = mirror(bucket, tmp_path / "here")
    texts = {"study_json": "{}", "trials__0__end_json": "{}", "trials__0__best_pt": "w", "trials__0__trial_json": "{}"}
    put(tmp_path / "here" / "s", **texts, trials__0__epochs_jsonl="1\n", best_yaml="a: 1")
    assert own.send(kept) == 6
    names = [name for _, name in changes(s3)]
    assert names == ["trial.json", "best.pt", "epochs.jsonl", "end.json", "best.yaml", "study.json"]
    (tmp_path / "here" / "s" / "trials" / "0" / "best.pt").unlink()
    put(tmp_path / "here" / "s", trials__0__freed_json="{}")
    assert own.send(kept) == 2
    assert changes(s3)[:2] == [("PUT", "freed.json"), ("DELETE", "best.pt")]
    assert "s/trials/0/best.pt" not in stored(s3, bucket)


@pytest.mark.parametrize("look", [1, 2])
def test_a_file_that_goes_while_the_folder_is_read_is_not_named_without_its_note(
    s3: Server, bucket: str, tmp_path: Path, look: int
) -> None:
    own, folder = mirror(bucket, tmp_path / "here"), tmp_path / "here" / "s"
    put(folder, best_pt="w", end_json="{}")
    asked: list[str] = []

    def frees(name: str) -> bool:
        asked.append(name)
        if name == "s/best.pt" and asked.count(name) == look:
            put(folder, freed_json="{}")
            (folder / "best.pt").unlink()
        return kept(name)

    own.send(frees)
    assert stored(s3, bucket).keys() == {"s/end.json", "s/freed.json"}


def test_a_reader_never_sees_a_record_of_a_file_that_is_not_there(s3: Server, bucket: str, tmp_path: Path) -> None:
    folder, over, faults, looks = tmp_path / "here", threading.Event(), list[str](), list[int]()
    own = mirror(bucket, folder)

    def read() -> None:
        while not over.is_set():
            names = set(s3.names(bucket, "results/"))
            looks.append(len(names))
            for end in (name for name in names if name.endswith("end.json")):
                trial = end.removesuffix("end.json")
                if not {f"{trial}best.pt", f"{trial}freed.json"} & names:
                    faults.append(end)

    def work() -> None:
        for number in range(40):
            put(folder, **{f"s__trials__{number}__best_pt": "w" * 1000})
            put(folder, **{f"s__trials__{number}__end_json": "{}"})
            if number >= 3:
                put(folder, **{f"s__trials__{number - 3}__freed_json": "{}"})
                (folder / "s" / "trials" / str(number - 3) / "best.pt").unlink()
            time.sleep(0.01)
        over.set()

    threads = [threading.Thread(target=target) for target in (read, work)]
    for thread in threads:
        thread.start()
    while not over.is_set():
        own.send(kept)
    for thread in threads:
        thread.join()
    own.send(kept)
    assert faults == []
    assert len(looks) > 5
    weights = sorted(int(n.split("/")[2]) for n in stored(s3, bucket) if n.endswith("best.pt"))
    assert weights == [37, 38, 39]


def test_only_what_changed_is_sent_and_fetched(s3: Server, bucket: str, tmp_path: Path) -> None:
    here, there = mirror(bucket, tmp_path / "here"), mirror(bucket, tmp_path / "there")
    put(tmp_path / "here", s__a_txt="1", s__b_txt="2", s__c_txt="3")
    assert here.send(kept) == 3
    assert here.send(kept) == 0
    assert there.fetch(kept) == 3
    assert there.fetch(kept) == 0
    put(tmp_path / "here", s__a_txt="changed")
    (tmp_path / "here" / "s" / "b.txt").unlink()
    assert here.send(kept) == 2
    assert there.fetch(kept) == 2
    assert {p.name: p.read_text() for p in (tmp_path / "there" / "s").iterdir()} == {"a.txt": "changed", "c.txt": "3"}
    assert there.send(kept) == 0, "what was fetched is not sent back"


def test_a_study_that_somebody_removed_here_stays_in_the_store(s3: Server, bucket: str, tmp_path: Path) -> None:
    own = mirror(bucket, tmp_path / "here")
    put(tmp_path / "here", s__a_txt="1")
    own.send(kept)
    (tmp_path / "here" / "s" / "a.txt").unlink()
    (tmp_path / "here" / "s").rmdir()
    assert own.send(kept) == 0
    assert stored(s3, bucket) == {"s/a.txt": "1"}
    assert own.fetch(kept) == 1
    assert (tmp_path / "here" / "s" / "a.txt").read_text() == "1"


def test_weights_removed_here_by_hand_stay_in_the_store_and_are_fetched_where_they_are_needed(
    s3: Server, bucket: str, tmp_path: Path
) -> None:
    own, folder = mirror(bucket, tmp_path / "here"), tmp_path / "here" / "s"
    put(tmp_path / "here", s__best_pt="weights", s__end_json="{}")
    own.send(kept)
    (folder / "best.pt").unlink()
    own.fetch(lambda name: not name.endswith(".pt"))  # of a command that reads records alone, and writes a note
    put(tmp_path / "here", s__note_json="{}")
    assert own.send(kept) == 1
    assert stored(s3, bucket) == {"s/best.pt": "weights", "s/end.json": "{}", "s/note.json": "{}"}
    own.fetch(kept)
    assert (folder / "best.pt").read_text() == "weights"


def test_a_driver_killed_before_it_noted_what_it_sent_keeps_its_later_records(
    s3: Server, bucket: str, tmp_path: Path
) -> None:
    own, folder = mirror(bucket, tmp_path / "here"), tmp_path / "here"
    put(folder, s__epochs_jsonl="1\n", other__epochs_jsonl="1\n")
    own.send(kept)
    noted = (folder / ".store.json").read_text()
    put(folder, s__epochs_jsonl="1\n2\n", other__epochs_jsonl="1\n2\n", s__end_json="{}")
    own.send(kept)
    (folder / ".store.json").write_text(noted)  # as after a kill: what was sent last is not noted
    put(folder, s__epochs_jsonl="1\n2\n3\n", other__epochs_jsonl="not this host's")
    own.fetch(kept, lambda name: name.startswith("s/"))
    assert (folder / "s" / "epochs.jsonl").read_text() == "1\n2\n3\n"
    assert (folder / "other" / "epochs.jsonl").read_text() == "1\n2\n"
    own.send(kept)
    assert stored(s3, bucket)["s/epochs.jsonl"] == "1\n2\n3\n"
    assert own.fetch(kept) == own.send(kept) == 0


def test_a_study_that_went_on_elsewhere_is_fetched_anew_and_what_was_not_sent_is_kept(
    s3: Server, bucket: str, tmp_path: Path
) -> None:
    own, folder = mirror(bucket, tmp_path / "here"), tmp_path / "here" / "s"
    put(tmp_path / "here", s__a_txt="1")
    own.send(kept)
    put(tmp_path / "here", **{"s__optuna_db": "of this machine alone"})
    assert own.yield_folder("s", lambda name: name.endswith(".txt")) is None, "all that counts is in the store"
    assert not folder.exists()
    own.fetch(kept)
    assert [p.name for p in folder.iterdir()] == ["a.txt"]
    put(tmp_path / "here", s__a_txt="not sent")
    aside = own.yield_folder("s", kept)
    assert aside is not None
    assert (aside / "a.txt").read_text() == "not sent"
    own.fetch(kept)
    assert (folder / "a.txt").read_text() == "1"


def test_a_store_that_is_away_is_told_of_once_and_gets_everything_later(
    s3: Server, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "PAUSE_S", 0.05)
    monkeypatch.setattr(sending, "LONGEST_S", 0.2)
    said: list[str] = []
    own = mirror(bucket, tmp_path / "here")
    with Sender(lambda: own.send(kept), said.append, "the folder") as sender:
        put(tmp_path / "here", s__a_txt="1")
        until(lambda: "s/a.txt" in stored(s3, bucket))
        s3.line.cut()
        put(tmp_path / "here", s__b_txt="2")
        until(lambda: said != [])
        failed = sender.once()
        put(tmp_path / "here", s__c_txt="3")
        threading.Timer(1.0, s3.line.mend).start()
        sender.finish()
    assert failed is None
    assert stored(s3, bucket) == {"s/a.txt": "1", "s/b.txt": "2", "s/c.txt": "3"}
    assert len(said) == 2, said
    assert said[0].startswith("Results are kept in the folder and are sent when that is possible again: s3://")
    assert said[1] == "Results are sent again"


def test_a_bucket_that_cannot_be_written_is_an_error_and_not_an_outage(s3: Server, tmp_path: Path) -> None:
    own = mirror("absent-bucket", tmp_path / "here")
    put(tmp_path / "here", s__a_txt="1")
    with pytest.raises(UserError, match="there is no bucket 'absent-bucket'") as raised:
        own.send(kept)
    assert not isinstance(raised.value, StoreUnavailable)


def test_the_state_of_a_mirror_that_is_lost_is_made_again(s3: Server, bucket: str, tmp_path: Path) -> None:
    own = mirror(bucket, tmp_path / "here")
    put(tmp_path / "here", s__a_txt="1")
    own.send(kept)
    (tmp_path / "here" / ".store.json").write_text("{")
    own.fetch(kept)
    assert json.loads((tmp_path / "here" / ".store.json").read_text()).keys() == {"s/a.txt"}
    assert own.send(kept) == 0


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.02)
