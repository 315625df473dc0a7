"""The files of a study: written whole, read back equal, and readable after a crash."""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from raytune_planes.errors import UserError
from raytune_planes.records import End, TrialRecord
from raytune_planes.tracking import JsonlTracker, find_study, read_study, study_folder, trial_folder
from tests.tracking.studies import FINISH, START, artifact, ended, epoch, play, three_trials, trial


def as_text(record: TrialRecord) -> str:
    return repr(record)  # a NaN equals itself there


@pytest.fixture
def started(tmp_path: Path) -> JsonlTracker:
    tracker = JsonlTracker(tmp_path)
    tracker.start_study(START)
    tracker.start_trial(trial(0))
    return tracker


def epochs_file(tracker: JsonlTracker) -> Path:
    return trial_folder(tracker.folder, 0, "ab00") / "epochs.jsonl"


def test_a_study_reads_back_as_it_was_told(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path))
    study = read_study(tmp_path / "quick-1")
    assert study.start == START
    assert study.end == FINISH
    assert study.warnings == ()
    assert [as_text(t) for t in study.trials] == [as_text(t) for t in three_trials()]


def test_every_record_file_is_strict_json_even_with_a_nan(tmp_path: Path) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    play(JsonlTracker(tmp_path))
    for path in [*tmp_path.rglob("*.json"), *tmp_path.rglob("*.jsonl")]:
        for line in path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]:
            json.loads(line, parse_constant=refuse)
    failed = read_study(tmp_path / "quick-1").trials[1]
    assert math.isnan(failed.epochs[0].metrics["val/fgvc/loss"])


def test_the_folder_of_a_study_has_the_published_layout(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path))
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    of_trials = [
        f"quick-1/trials/{n:04d}-ab{n:02d}/{f}"
        for n in range(4)
        for f in ("config.yaml", "end.json", "epochs.jsonl", "trial.json")
    ]
    top = ["quick-1/best.yaml", "quick-1/space.yaml", "quick-1/study.json"]
    assert found == sorted(["logs/quick-1-0000.json", "logs/quick-1-0003.json", *top, *of_trials])


def test_best_yaml_holds_the_settings_of_the_best_complete_trial(tmp_path: Path) -> None:
    play(JsonlTracker(tmp_path))
    text = (tmp_path / "quick-1/best.yaml").read_text()
    assert yaml.safe_load(text) == dict(three_trials()[3].config)
    assert text.startswith("# trial 3 of study quick-1")


def test_a_trial_that_has_not_ended_reads_as_running(started: JsonlTracker) -> None:
    started.log_epoch("ab00", epoch(1, 0.1))
    study = read_study(started.folder)
    assert study.end is None
    assert study.trials[0].end is End.RUNNING
    assert study.trials[0].epochs == (epoch(1, 0.1),)


def test_a_last_line_cut_short_is_left_out_and_told(started: JsonlTracker) -> None:
    for number in (1, 2):
        started.log_epoch("ab00", epoch(number, 0.1))
    path = epochs_file(started)
    path.write_bytes(path.read_bytes()[:-20])
    study = read_study(started.folder)
    assert [e.epoch for e in study.trials[0].epochs] == [1]
    assert len(study.warnings) == 1
    assert "epochs.jsonl, line 2: was cut short" in study.warnings[0]


def test_a_line_in_the_middle_that_is_no_record_is_left_out_and_told(started: JsonlTracker) -> None:
    started.log_epoch("ab00", epoch(1, 0.1))
    with epochs_file(started).open("a") as file:
        file.write('{"epoch": 2}\n\n')
    started.log_epoch("ab00", epoch(3, 0.1))
    study = read_study(started.folder)
    assert [e.epoch for e in study.trials[0].epochs] == [1, 3]
    assert "line 2: is unreadable and is left out (no 'metrics')" in study.warnings[0]


def test_a_resumed_trial_drops_the_torn_line_and_goes_on_at_its_own(
    started: JsonlTracker, caplog: pytest.LogCaptureFixture
) -> None:
    started.log_epoch("ab00", epoch(1, 0.1))
    started.log_epoch("ab00", epoch(2, 0.2))
    path = epochs_file(started)
    path.write_bytes(path.read_bytes()[:-5])
    again = JsonlTracker(started.out)
    again.start_study(START)
    with caplog.at_level(logging.WARNING):
        again.start_trial(trial(0))
    assert "line 2: was cut short" in caplog.text
    again.log_epoch("ab00", epoch(2, 0.2))
    study = read_study(again.folder)
    assert study.trials[0].epochs == (epoch(1, 0.1), epoch(2, 0.2))
    assert study.warnings == ()


def test_an_epoch_logged_again_with_equal_metrics_keeps_its_first_line(started: JsonlTracker) -> None:
    started.log_epoch("ab00", epoch(1, 0.1))
    started.log_epoch("ab00", replace(epoch(1, 0.1), time_ms=9, seconds=99.0))
    assert len(epochs_file(started).read_text().splitlines()) == 1
    assert read_study(started.folder).trials[0].epochs == (epoch(1, 0.1),)


def test_an_epoch_logged_again_with_other_metrics_counts_once_with_the_later_ones(started: JsonlTracker) -> None:
    for record in (epoch(1, 0.1), epoch(2, 0.2), epoch(2, 0.25)):
        started.log_epoch("ab00", record)
    assert read_study(started.folder).trials[0].epochs == (epoch(1, 0.1), epoch(2, 0.25))


def test_a_resumed_study_keeps_its_first_start_and_so_its_id(started: JsonlTracker) -> None:
    again = JsonlTracker(started.out)
    again.start_study(replace(START, started_ms=START.started_ms + 5, trials=9))
    start = read_study(again.folder).start
    assert (start.started_ms, start.trials, start.study_id) == (START.started_ms, 9, START.study_id)


def test_a_resumed_trial_keeps_its_first_start_and_is_running_again(started: JsonlTracker) -> None:
    started.log_epoch("ab00", epoch(1, 0.1))
    started.end_trial(ended(trial(0), End.INTERRUPTED, "stopped by hand", epoch(1, 0.1)))
    assert read_study(started.folder).trials[0].reason == "stopped by hand"
    started.start_trial(replace(trial(0), started_ms=1))
    again = read_study(started.folder).trials[0]
    assert (again.end, again.reason, again.started_ms) == (End.RUNNING, "", trial(0).started_ms)
    assert again.epochs == (epoch(1, 0.1),)


def test_artifacts_from_elsewhere_are_copied_and_those_in_place_are_left(started: JsonlTracker, tmp_path: Path) -> None:
    folder = trial_folder(started.folder, 0, "ab00")
    in_place = artifact(folder, "best.pt")
    elsewhere = artifact(tmp_path / "scratch", "confusion.npy", b"matrix")
    started.end_trial(ended(trial(0), End.COMPLETED, "done"), [in_place, elsewhere])
    assert (folder / "confusion.npy").read_bytes() == b"matrix"
    assert (folder / "best.pt").read_bytes() == b"weights"
    assert not list(folder.glob(".*"))


def test_a_trial_that_failed_before_it_started_is_recorded_all_the_same(started: JsonlTracker) -> None:
    started.end_trial(ended(trial(5), End.FAILED, "needs 3 CPUs"))
    assert read_study(started.folder).trials[1].reason == "needs 3 CPUs"


def test_tags_known_only_at_the_end_join_those_of_the_start(started: JsonlTracker) -> None:
    started.end_trial(replace(ended(trial(0), End.COMPLETED, "done"), tags={"pool": "gpu", "retries": "1"}))
    assert read_study(started.folder).trials[0].tags == {"host": "here", "pool": "gpu", "retries": "1"}


def test_a_trial_without_records_is_left_out_and_told(started: JsonlTracker) -> None:
    (started.folder / "trials/0009-dead").mkdir()
    study = read_study(started.folder)
    assert [t.number for t in study.trials] == [0]
    assert "0009-dead: left out, its records cannot be read" in study.warnings[0]


def test_a_newer_format_is_refused_with_the_way_out(started: JsonlTracker) -> None:
    path = started.folder / "study.json"
    path.write_text(path.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(UserError, match="has format 2, this version reads 1; use the version"):
        read_study(started.folder)


def test_a_broken_study_file_is_one_clear_message(started: JsonlTracker) -> None:
    path = started.folder / "study.json"
    for broken, why in (("[]", "holds no object"), ('{"format": 1}', "no 'start'"), ("{", "Expecting property name")):
        path.write_text(broken)
        with pytest.raises(
            UserError, match=f"study.json cannot be read: .*{why}.*; the trials next to it are unchanged"
        ):
            read_study(started.folder)


def test_a_folder_without_a_study_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no study in .*: it has no study.json"):
        read_study(tmp_path)


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "logs", "plots", "mlartifacts", "x" * 101])
def test_a_name_that_is_no_plain_folder_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="cannot name a study"):
        study_folder(tmp_path, name)


def test_results_that_cannot_be_written_are_said_before_the_study(tmp_path: Path) -> None:
    (tmp_path / "quick-1").write_text("a file in the way")
    with pytest.raises(UserError, match=r"results cannot be written to .*quick-1.*--out"):
        JsonlTracker(tmp_path).start_study(START)


def test_the_latest_study_is_found_without_a_name(tmp_path: Path) -> None:
    for name, started_ms in (("older", 1), ("newest", 3), ("newer", 2)):
        JsonlTracker(tmp_path).start_study(replace(START, name=name, started_ms=started_ms))
    assert find_study(tmp_path).name == "newest"
    assert find_study(tmp_path, "older").name == "older"
    with pytest.raises(
        UserError, match=r"no study 'newst' in .*; did you mean 'newest'.; there are: newest, newer, older"
    ):
        find_study(tmp_path, "newst")


def test_no_study_at_all_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="run 'raytune-planes tune' first"):
        find_study(tmp_path / "nowhere")


def test_a_full_disk_takes_no_part_of_a_line(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk: a write is cut short there in the same way."""
    code = (
        "import resource, signal, sys; from pathlib import Path\n"
        "from raytune_planes.tracking.files import append_whole\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (25, 25))\n"
        "path = Path(sys.argv[1]); append_whole(path, b'x' * 19 + b'\\n')\n"
        "try:\n    append_whole(path, b'y' * 19 + b'\\n')\nexcept OSError as error:\n    print(error.strerror)\n"
        "append_whole(path, b'z\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x"], capture_output=True, text=True, check=False)
    assert done.stdout == "No space left on device\n", done.stderr
    assert (tmp_path / "x").read_bytes() == b"x" * 19 + b"\nz\n"
