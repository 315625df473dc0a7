"""The search's database is recreated from the records: equal in all that counts, and it goes on as the lost one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import RDBStorage

from raytune_planes.errors import UserError
from raytune_planes.records import End, EpochRecord, Goal, TrialRecord
from raytune_planes.tuning.memory import disagreement, open_search
from raytune_planes.tuning.search import Search
from tests.tuning.test_searcher import FGVC, FLOORED, IOU, ONE, TWO, a_hill, a_space

ENDS = (End.COMPLETED, End.PRUNED, End.CONVERGED, End.FAILED, End.COMPLETED)
TRIALS, OPEN = 13, 2


def a_study(database: Path, goal: Goal, sampler: str) -> tuple[TrialRecord, ...]:
    """13 trials, two at a time, that ended in all ways; two still run, one of them without an epoch."""
    start_from = [{"optim.lr": 0.9, "stopping.rule": "stop", "stopping.trickle": 3}]  # outside of the range
    search = Search(a_space(goal), database, sampler=sampler, seed=4, start_from=start_from)
    clock, records, running = 1_700_000_000_000, [], []
    for _ in range(TRIALS + 1):
        asked = search.ask()
        assert asked is not None
        clock += 1000
        running.append(TrialRecord(asked.trial_id, asked.number, asked.drawn, {}, started_ms=clock))
        if len(running) <= OPEN - 1:
            continue
        record = running.pop(0)
        for number in range(1, 3):
            clock += 1000
            metrics = {k: v * number / 2 for k, v in a_hill(asked.drawn).items()}
            epoch = EpochRecord(number, number, number * 320, metrics, time_ms=clock)
            record = replace(record, epochs=(*record.epochs, epoch))
            search.report(record.trial_id, epoch)
        if record.number == TRIALS - 1:
            running.insert(0, record)
            break
        record = replace(record, end=ENDS[record.number % 5], reason=f"because {record.number}", ended_ms=clock)
        search.tell(record)
        records.append(record)
    search.close()
    return tuple(sorted((*records, *running), key=lambda t: t.number))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, tuple[TrialRecord, ...]]:
    """The study of one objective, and its records."""
    database = tmp_path_factory.mktemp("saved") / "o.db"
    return database, a_study(database, ONE, "tpe")


@pytest.fixture
def records(saved: tuple[Path, tuple[TrialRecord, ...]], tmp_path: Path) -> tuple[TrialRecord, ...]:
    """Of a study whose database is ``o.db`` in the test's folder."""
    shutil.copy(saved[0], tmp_path / "o.db")
    return saved[1]


def memory(database: Path) -> list[tuple[Any, ...]]:
    storage = RDBStorage(f"sqlite:///{database}")
    trials = optuna.load_study(study_name="study", storage=storage).trials
    storage.engine.dispose()
    told = ("trial_id", "end", "reason", "samples", "given", "reached")
    return [
        (
            *(t.number, t.state, t.params, t.distributions, t.values, t.intermediate_values, t.constraints),
            {key: t.user_attrs.get(key) for key in told},
        )
        for t in trials
    ]


def opened(
    database: Path, records: tuple[TrialRecord, ...], goal: Goal = ONE, sampler: str = "tpe"
) -> tuple[Search, tuple[TrialRecord, ...], list[str]]:
    said: list[str] = []
    start_from = [{"optim.lr": 0.9, "stopping.rule": "stop", "stopping.trickle": 3}]
    search, known = open_search(
        a_space(goal), database, records, said.append, sampler=sampler, seed=4, start_from=start_from, limit=40
    )
    return search, known, said


def delete(database: Path) -> None:
    database.unlink()


def truncate(database: Path) -> None:
    with database.open("r+b") as file:
        file.truncate(database.stat().st_size // 2)


def empty(database: Path) -> None:
    database.write_bytes(b"")


def replace_by_text(database: Path) -> None:
    database.write_text("hello " * 5000)


def replace_by_another_programs(database: Path) -> None:
    import sqlite3

    database.unlink()
    with sqlite3.connect(database) as other:
        other.execute("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        other.execute("INSERT INTO alembic_version VALUES ('1bd49d398cd23')")
        other.execute("CREATE TABLE trials (run_uuid VARCHAR(32))")
    other.close()


def replace_by_another_study(database: Path) -> None:
    database.unlink()
    a_study(database, ONE, "random")


def replace_by_one_over_another_space(database: Path) -> None:
    database.unlink()
    a_study(database, TWO, "random")


def damage_inside(database: Path) -> None:
    with database.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(b"\xff" * 6 * 4096)


@pytest.mark.parametrize(
    ("goal", "sampler"),
    [(ONE, "tpe"), (FLOORED, "tpe"), (FLOORED, "random"), (ONE, "nsga2"), (TWO, "nsga2"), (TWO, "tpe")],
)
def test_a_lost_database_is_made_again_and_asks_what_the_lost_one_would(
    tmp_path: Path, goal: Goal, sampler: str
) -> None:
    records = a_study(tmp_path / "o.db", goal, sampler)
    before = memory(tmp_path / "o.db")
    shutil.copy(tmp_path / "o.db", tmp_path / "untouched.db")
    (tmp_path / "o.db").unlink()

    search, known, said = opened(tmp_path / "o.db", records, goal, sampler)

    assert memory(tmp_path / "o.db") == before
    assert known == records
    assert disagreement(search, records) == ""
    assert said == [
        f"{tmp_path}/o.db is missing. The search's database is recreated from the records of {len(records)} trials"
    ]
    untouched, _, quiet = opened(tmp_path / "untouched.db", records, goal, sampler)
    assert quiet == []
    assert search.running() == untouched.running()
    for _ in range(3):
        mine, theirs = search.ask("next"), untouched.ask("next")
        assert mine == theirs
        assert mine is not None


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        empty,
        replace_by_text,
        replace_by_another_programs,
        replace_by_another_study,
        replace_by_one_over_another_space,
        damage_inside,
    ],
    ids=lambda damage: damage.__name__,
)
def test_a_damaged_database_is_set_aside_and_made_again(
    tmp_path: Path, records: tuple[TrialRecord, ...], damage: Callable[[Path], None]
) -> None:
    database = tmp_path / "o.db"
    before = memory(database)
    damage(database)
    damaged = database.read_bytes()
    said: list[str] = []
    start_from = [{"optim.lr": 0.9, "stopping.rule": "stop", "stopping.trickle": 3}]
    digest = a_space(ONE).digest
    search, _ = open_search(a_space(ONE), database, records, said.append, digest=digest, seed=4, start_from=start_from)
    search.close()
    assert memory(database) == before
    (kept,) = (p for p in tmp_path.glob("o.db.before-*") if not p.name.endswith(("-wal", "-shm")))
    assert f"it is kept as {kept.name}. The search's database is recreated from the records of 14" in said[0]
    assert len(kept.read_bytes()) >= len(damaged)


def test_a_database_that_agrees_or_lacks_the_last_word_is_left_alone(
    tmp_path: Path, records: tuple[TrialRecord, ...]
) -> None:
    last = replace(records[-2], end=End.COMPLETED, ended_ms=records[-2].epochs[-1].time_ms)  # its driver died then
    search, known, said = opened(tmp_path / "o.db", (*records[:-2], last, records[-1]))
    assert said == []
    assert known[-2] == last
    assert [s.number for s in search.running()] == [12, 13]


def test_an_older_database_learns_the_rest(tmp_path: Path, records: tuple[TrialRecord, ...]) -> None:
    before = memory(tmp_path / "o.db")
    (tmp_path / "o.db").unlink()
    opened(tmp_path / "o.db", records[:9])[0].close()
    _, _, said = opened(tmp_path / "o.db", records)
    assert "the search's database does not know trial 9" in said[0]
    assert memory(tmp_path / "o.db") == before


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"drawn": {"optim.lr": 0.002}}, "other settings"),
        ({"end": End.FAILED}, "another end"),
        ({"epochs": (EpochRecord(1, 1, 320, {FGVC: 0.5, IOU: 0.5}),)}, "other values"),
    ],
)
def test_the_records_are_believed_where_the_database_says_otherwise(
    tmp_path: Path, changed: dict[str, Any], what: str
) -> None:
    records = a_study(tmp_path / "o.db", TWO, "tpe")
    other = replace(records[5], **changed)
    search = Search(a_space(TWO), tmp_path / "o.db")
    assert disagreement(search, records) == ""
    assert what in disagreement(search, [*records[:5], other, *records[6:]])


def test_an_end_that_is_lost_on_disk_is_known_to_the_search(tmp_path: Path, records: tuple[TrialRecord, ...]) -> None:
    lost = replace(records[6], end=End.RUNNING, reason="", ended_ms=0)
    _, known, said = opened(tmp_path / "o.db", (*records[:6], lost, *records[7:]))
    assert (known[6].end, known[6].reason) == (End.PRUNED, "because 6")
    assert known[6].ended_ms > 0
    assert said == [f"trial 6 ({lost.trial_id}) has lost its end.json: the search knows that it was pruned"]


def test_a_trial_that_lost_epochs_and_its_end_runs_again_whatever_the_search_was_told(
    tmp_path: Path, records: tuple[TrialRecord, ...]
) -> None:
    lost = replace(records[6], end=End.RUNNING, epochs=records[6].epochs[:1])
    search, known, said = opened(tmp_path / "o.db", (*records[:6], lost, *records[7:]))
    assert known[6] == lost
    assert "the search's database has other values on the way of trial 6; it is kept as" in said[0]
    assert [s.number for s in search.running()] == [6, 12, 13]
    assert search.trials[6].intermediate_values == {320: lost.epochs[0].metrics[FGVC]}


@pytest.mark.parametrize("has_database", [True, False])
def test_a_trial_without_records_runs_again_under_its_number_with_its_draws(
    tmp_path: Path, records: tuple[TrialRecord, ...], has_database: bool
) -> None:
    if not has_database:
        (tmp_path / "o.db").unlink()
    search, known, said = opened(tmp_path / "o.db", (*records[:6], *records[7:]))
    again = next(s for s in search.running() if s.number == 6)
    assert again.drawn == records[6].drawn
    assert (again.trial_id == records[6].trial_id) == has_database
    assert [t.number for t in search.trials] == list(range(len(records)))
    assert sum("it is trained again" in text for text in said) == 1
    assert len(known) == len(records) - (not has_database)


def test_two_trials_of_one_number_are_refused(tmp_path: Path, records: tuple[TrialRecord, ...]) -> None:
    with pytest.raises(UserError, match=r"two trials on record have the number 3: .* move the folder of one"):
        opened(tmp_path / "o.db", (*records, replace(records[3], trial_id="twin")))


def test_a_study_of_another_space_is_refused_also_without_a_database(
    tmp_path: Path, records: tuple[TrialRecord, ...]
) -> None:
    (tmp_path / "o.db").unlink()
    with pytest.raises(UserError, match="was started with another search space"):
        open_search(a_space(FLOORED), tmp_path / "o.db", records, print, digest=a_space(ONE).digest)
    a_study(tmp_path / "o.db", TWO, "random")
    with pytest.raises(UserError, match="was started with another search space"):
        open_search(a_space(ONE), tmp_path / "o.db", (), print)
