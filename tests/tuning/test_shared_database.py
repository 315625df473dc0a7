"""The search of a study in a PostgreSQL that this file starts, stops in the middle of a study and starts again."""

from __future__ import annotations

import argparse
import inspect
import json
import logging
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages._cached_storage import _CachedStorage
from optuna.trial import TrialState
from sqlalchemy import NullPool, create_engine, text

from raytune_planes.addresses import without_login
from raytune_planes.cli import make_parser
from raytune_planes.commands.study_arguments import recall, remember
from raytune_planes.errors import UserError
from raytune_planes.records import EpochRecord
from raytune_planes.tuning import patient
from raytune_planes.tuning.memory import open_search
from raytune_planes.tuning.patient import METHODS
from raytune_planes.tuning.search import Search, Suggestion
from raytune_planes.tuning.shared_database import FILE, SharedDatabase, refuse_away
from tests.postgres import PASSWORD, Postgres, postgres
from tests.tuning.test_memory import a_study
from tests.tuning.test_searcher import FGVC, ONE, TWO, a_hill, a_space, an_end, run

pytestmark = pytest.mark.slow
Make = Callable[..., Search]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture
def shared(server: Postgres, tmp_path: Path) -> SharedDatabase:
    return SharedDatabase(server.address(), tmp_path / "night", "night")


@pytest.fixture
def a_search() -> Iterator[Make]:
    """Makes searches whose connections are closed in the end."""
    made: list[Search] = []

    def make(*args: Any, **options: Any) -> Search:
        made.append(Search(*args, **options))
        return made[-1]

    yield make
    for search in made:
        search.close()


def again(database: SharedDatabase) -> SharedDatabase:
    """As the next start of the study finds it."""
    return SharedDatabase(database.address, database.parent, database.name)


def ended(database: SharedDatabase) -> list[optuna.trial.FrozenTrial]:
    """What Optuna itself finds there, all of it complete."""
    storage = optuna.storages.RDBStorage(database.address, engine_kwargs={"poolclass": NullPool})
    known = optuna.load_study(study_name=database.study, storage=storage).trials
    assert [trial.number for trial in known] == list(range(len(known)))
    assert {trial.state for trial in known} == {TrialState.COMPLETE}
    return known


def test_all_that_optunas_cache_asks_of_a_database_is_waited_for() -> None:
    asked = set(re.findall(r"self\._backend\.(\w+)\(", inspect.getsource(_CachedStorage)))
    heartbeats = {"record_heartbeat", "_get_stale_trial_ids", "get_heartbeat_interval"}
    assert "_get_trials" in asked
    assert asked - heartbeats - {"get_heartbeat_stale_trial_callback", "get_failed_trial_callback"} <= {*METHODS}


def test_a_search_on_a_server_draws_as_in_a_file_and_goes_on_where_it_was(
    a_search: Make, shared: SharedDatabase
) -> None:
    whole = run(a_search(a_space(TWO), seed=5), a_hill, 13)
    parts = [run(a_search(a_space(TWO), again(shared), seed=5), a_hill, trials) for trials in (6, 7)]
    assert [a.drawn for part in parts for a in part] == [a.drawn for a in whole]
    assert len(ended(again(shared))) == 13


def test_two_people_may_give_their_studies_one_name(a_search: Make, shared: SharedDatabase, tmp_path: Path) -> None:
    theirs = SharedDatabase(shared.address, tmp_path / "theirs" / "night", "night")
    for database, trials in ((shared, 3), (theirs, 2), (shared, 1)):
        run(a_search(a_space(), again(database)), a_hill, trials)
    assert [len(ended(again(database))) for database in (shared, theirs)] == [4, 2]


def test_a_copied_folder_and_a_study_begun_again_under_its_name_are_studies_of_their_own(
    a_search: Make, shared: SharedDatabase, tmp_path: Path
) -> None:
    run(a_search(a_space(), shared), a_hill, 2)
    copy = tmp_path / "copy" / "night"
    copy.mkdir(parents=True)
    (copy / FILE).write_bytes((shared.parent / FILE).read_bytes())
    assert not SharedDatabase(shared.address, copy, "night").exists()
    (shared.parent / FILE).unlink()
    run(a_search(a_space(), fresh := again(shared)), a_hill, 1)
    assert fresh.study != shared.study
    assert len(ended(shared)) == 2
    assert len(ended(fresh)) == 1


def test_a_study_of_an_earlier_version_goes_on_in_its_file_or_moves_to_a_server(
    shared: SharedDatabase, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    database, said = tmp_path / "night" / "optuna.db", list[str]()
    records = a_study(database, ONE, "tpe")
    options = {"seed": 4, "start_from": [{"optim.lr": 0.9, "stopping.rule": "stop", "stopping.trickle": 3}]}
    old, _ = open_search(a_space(ONE), database, records, said.append, **options)
    assert said == []
    moved, _ = open_search(a_space(ONE), shared, records, said.append, **options)
    request.addfinalizer(moved.close)
    assert "holds no search of" in said[0]
    assert "is recreated from the records of" in said[0]
    assert [(t.state, t.values, t.params) for t in moved.trials] == [(t.state, t.values, t.params) for t in old.trials]
    asked, there = old.ask(), moved.ask()
    assert asked is not None
    assert there is not None
    assert asked.drawn == there.drawn


def test_a_server_that_stops_and_starts_again_costs_no_trial_and_no_epoch(
    a_search: Make, shared: SharedDatabase, server: Postgres, caplog: pytest.LogCaptureFixture
) -> None:
    search = a_search(a_space(), shared, seed=5)
    search.wait_while(lambda: False)
    back = threading.Event()

    def start_again() -> None:
        time.sleep(1.5)
        server.start()
        back.set()

    drawn = []
    with caplog.at_level(logging.WARNING):
        for turn in range(9):
            asked = search.ask()
            assert asked is not None
            drawn.append(asked.drawn)
            if turn in (3, 6):  # in the middle of a trial, and before the end of another
                search.report(asked.trial_id, EpochRecord(1, 5, 160, {FGVC: 0.25}))
                server.stop()
                back.clear()
                threading.Thread(target=start_again).start()
            search.report(asked.trial_id, EpochRecord(2, 10, 320, {FGVC: 0.5}))
            search.tell(an_end(asked, a_hill(asked.drawn)))
    assert back.wait(30)
    assert drawn == [a.drawn for a in run_with_epochs(9)]
    known = ended(shared)
    assert len(known) == 9
    assert [sorted(t.intermediate_values) for t in known] == [[160, 320] if n in (3, 6) else [320] for n in range(9)]
    assert [trial.values for trial in known] == [[a_hill(d)[FGVC]] for d in drawn]
    said = [r.getMessage() for r in caplog.records if r.name == "raytune_planes.tuning.patient"]
    assert [("waits for it" in line, "answers again" in line) for line in said] == [(True, False), (False, True)] * 2
    assert PASSWORD not in caplog.text


def run_with_epochs(trials: int) -> list[Suggestion]:
    """The same study where nothing happens to its database."""
    search, done = Search(a_space(), seed=5), []
    for turn in range(trials):
        asked = search.ask()
        assert asked is not None
        if turn in (3, 6):
            search.report(asked.trial_id, EpochRecord(1, 5, 160, {FGVC: 0.25}))
        search.report(asked.trial_id, EpochRecord(2, 10, 320, {FGVC: 0.5}))
        search.tell(an_end(asked, a_hill(asked.drawn)))
        done.append(asked)
    return done


def test_connections_cut_at_any_moment_do_nothing_twice(
    a_search: Make, shared: SharedDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patient, "PAUSE_S", 0.02)
    search, is_over, cuts = a_search(a_space(), shared, limit=15), threading.Event(), list[int]()
    search.wait_while(lambda: False)

    def cut() -> None:
        others = "select pg_terminate_backend(pid) from pg_stat_activity where pid != pg_backend_pid()"
        with create_engine(shared.address, poolclass=NullPool).connect() as connection:
            while len(cuts) < 20 and not is_over.wait(0.11):
                found = connection.execute(text(f"{others} and backend_type = 'client backend'")).all()
                cuts.append(len(found))
                connection.commit()

    cutter = threading.Thread(target=cut)
    cutter.start()
    try:
        asked = run(search, a_hill, 15)
    finally:
        is_over.set()
        cutter.join()
    assert sum(cuts) > 0
    assert sorted(a.number for a in asked) == list(range(15))
    assert {t.user_attrs["trial_id"] for t in ended(shared)} == {a.trial_id for a in asked}


def test_a_lost_server_is_an_error_before_the_study_runs_and_gives_way_to_ctrl_c_after(
    a_search: Make, shared: SharedDatabase, server: Postgres
) -> None:
    search = a_search(a_space(), shared)
    server.stop()
    try:
        with pytest.raises(UserError, match=r"the search's database at postgresql://\*\*\*@127.0.0.1:\d+/\w+ was lost"):
            search.ask()
        search.wait_while(lambda: True)
        with pytest.raises(KeyboardInterrupt):
            search.ask()
        with pytest.raises(UserError, match="does not answer at"):
            a_search(a_space(), again(shared))
        assert again(shared).study == shared.study
    finally:
        server.start()


def test_a_wrong_password_is_said_and_not_shown(server: Postgres) -> None:
    with pytest.raises(UserError, match=r"password authentication failed.*PGPASSWORD or ~/.pgpass") as told:
        refuse_away(server.address(password="swordfish"))
    assert "swordfish" not in str(told.value)
    with pytest.raises(UserError, match=r"mysql://\*\*\*@host/db, which is no address of the form postgresql://"):
        refuse_away("mysql://me:swordfish@host/db")


def test_the_search_and_mlflow_in_one_database_are_refused(server: Postgres) -> None:
    with pytest.raises(UserError, match=r"both asked for in postgresql://\*\*\*@.*make a second database"):
        refuse_away(server.address(), f"postgresql+psycopg://somebody@127.0.0.1:{server.port}/postgres")
    refuse_away(server.address(), server.address("other"))
    refuse_away(server.address(), "sqlite:///mlflow.db")


def test_the_password_is_in_no_file_and_not_in_the_database(
    a_search: Make,
    shared: SharedDatabase,
    server: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAYTUNE_PLANES_SEARCH_DB", raising=False)
    words = ["tune", "quick", "--search-db", shared.address, "--tracking-uri", shared.address, "--out", str(tmp_path)]
    args, said = make_parser().parse_args(words), list[str]()
    whole = argparse.Namespace(**{**vars(args), "space": "quick"})
    remember(whole, shared.parent, said.append)
    run(a_search(a_space(), shared), a_hill, 3)
    secrets = (PASSWORD, shared.address.split(":")[2].rpartition("@")[0])
    assert len(said) == 2
    for held in [*said, *(path.read_text() for path in shared.parent.rglob("*") if path.is_file()), server.dump()]:
        assert not any(secret in held for secret in secrets)
    resumed = make_parser().parse_args(["tune", "--resume", "night", "--out", str(tmp_path)])
    assert recall(resumed).search_db == without_login(shared.address)
    monkeypatch.setenv("RAYTUNE_PLANES_SEARCH_DB", shared.address)
    assert recall(resumed).search_db == shared.address
    assert json.loads((shared.parent / FILE).read_text())["study"] == shared.study
