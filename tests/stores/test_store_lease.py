"""One driver at a time for a study in a bucket."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raytune_planes.errors import UserError
from raytune_planes.stores import lease
from raytune_planes.stores.access import StoreUnavailable, opened
from raytune_planes.stores.address import parsed
from raytune_planes.stores.lease import StoreLease
from raytune_planes.stores.writing import content
from tests.stores.server import Server

ELSEWHERE = {"host": "elsewhere", "machine": 1, "pid": 1, "born": "1.0", "held": True}


def taken(bucket: str, on_loss: Callable[[], None] = lambda: None) -> StoreLease:
    address = parsed(f"s3://{bucket}/results")
    return StoreLease(opened(address), address, "night", on_loss)


def claims(s3: Server, bucket: str) -> list[dict]:
    return [json.loads(text) for text in s3.objects(bucket, "results/.drivers/night/").values()]


def test_a_second_driver_is_refused_while_the_first_lives(s3: Server, bucket: str) -> None:
    refused = (
        f"study 'night' is being run by process {os.getpid()} on .*, which has its claim in s3://{bucket}/results/"
    )
    with taken(bucket):
        assert [claim["held"] for claim in claims(s3, bucket)] == [True]
        with pytest.raises(UserError, match=refused), taken(bucket):
            pass
        assert len(claims(s3, bucket)) == 1, "the second leaves nothing"
    assert claims(s3, bucket) == []
    with taken(bucket):
        pass


TAKE = (
    "import sys; from raytune_planes.stores.access import opened; from raytune_planes.stores.address import parsed\n"
    "from raytune_planes.stores.lease import StoreLease\n"
    "address = parsed(sys.argv[1])\n"
    "with StoreLease(opened(address), address, 'night', lambda: None): print('mine', flush=True); sys.stdin.read()\n"
)


@pytest.mark.parametrize("count", [3, 6])
def test_of_drivers_that_ask_at_once_one_runs(s3: Server, bucket: str, count: int) -> None:
    command = [sys.executable, "-c", TAKE, f"s3://{bucket}/results"]
    drivers = [subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) for _ in range(count)]
    said = [""] * count

    def listen(i: int) -> None:
        said[i] = (drivers[i].stdout or sys.stdin).readline()

    threads = [threading.Thread(target=listen, args=[i]) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    why = [driver.communicate("")[1][-400:] for driver in drivers]
    assert sorted(said) == [""] * (count - 1) + ["mine\n"], why
    assert claims(s3, bucket) == []


def test_of_two_that_see_each_other_the_first_name_waits_for_the_other_to_withdraw(
    s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = json.dumps(ELSEWHERE | {"held": False})
    monkeypatch.setattr(lease, "WAIT_S", 1.0)
    s3.client.put_object(Bucket=bucket, Key="results/.drivers/night/z.json", Body=asking)
    with pytest.raises(UserError, match="process 1 on elsewhere"), taken(bucket):
        pass
    assert [claim["pid"] for claim in claims(s3, bucket)] == [1], "the one that gives up leaves nothing"
    monkeypatch.setattr(lease, "WAIT_S", 60.0)
    timer = threading.Timer(
        0.5, s3.client.delete_object, kwargs={"Bucket": bucket, "Key": "results/.drivers/night/z.json"}
    )
    timer.start()
    with taken(bucket):
        timer.join()
        assert [claim["held"] for claim in claims(s3, bucket)] == [True]
    s3.client.put_object(Bucket=bucket, Key="results/.drivers/night/0.json", Body=asking)
    timer = threading.Timer(
        0.5, s3.client.delete_object, kwargs={"Bucket": bucket, "Key": "results/.drivers/night/0.json"}
    )
    timer.start()
    with taken(bucket):
        timer.join()
        assert [claim["held"] for claim in claims(s3, bucket)] == [True], "it withdraws, and asks again"


def test_an_object_that_goes_while_it_is_read_is_none_and_one_that_is_replaced_is_read_again(
    s3: Server, bucket: str
) -> None:
    address, name = parsed(f"s3://{bucket}/results"), "claim.json"
    real, key = opened(address), f"results/{name}"

    class Racing:
        """Another driver acts between the store's answer about the size and the reading."""

        def __init__(self, act: Callable[[], object]) -> None:
            self.acts, self.get_file_info = [act], real.get_file_info

        def open_input_stream(self, path: str) -> object:
            stream = real.open_input_stream(path)
            if self.acts:
                self.acts.pop()()
            return stream

    s3.client.put_object(Bucket=bucket, Key=key, Body=b"before")
    racing: Any = Racing(lambda: s3.client.delete_object(Bucket=bucket, Key=key))
    assert content(racing, address, name) is None
    s3.client.put_object(Bucket=bucket, Key=key, Body=b"before, long")
    racing = Racing(lambda: s3.client.put_object(Bucket=bucket, Key=key, Body=b"after"))
    assert content(racing, address, name) == b"after"


def test_a_killed_driver_of_this_machine_is_passed_over_at_once(s3: Server, bucket: str) -> None:
    code = TAKE.replace("sys.stdin.read()", "import os; os._exit(9)")
    assert subprocess.run([sys.executable, "-c", code, f"s3://{bucket}/results"], check=False).returncode == 9
    assert len(claims(s3, bucket)) == 1
    with taken(bucket):
        assert [claim["pid"] for claim in claims(s3, bucket)] == [os.getpid()]


def test_a_driver_of_another_machine_holds_until_its_claim_is_stale(
    s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    name = "results/.drivers/night/other.json"
    s3.client.put_object(Bucket=bucket, Key=name, Body=json.dumps(ELSEWHERE))
    with pytest.raises(UserError, match="process 1 on elsewhere.*passed over after 5 minutes"), taken(bucket):
        pass
    monkeypatch.setattr(lease, "STALE_S", 0.0)
    with taken(bucket):
        assert [claim["host"] for claim in claims(s3, bucket)] != ["elsewhere"]
        assert len(claims(s3, bucket)) == 1


def test_a_driver_whose_claim_another_one_removed_is_told(
    s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_S", 0.05)
    told = threading.Event()
    with taken(bucket, told.set) as own:
        for name in s3.names(bucket, "results/.drivers/"):
            s3.client.delete_object(Bucket=bucket, Key=name)
        s3.client.put_object(Bucket=bucket, Key="results/.drivers/night/other.json", Body=json.dumps(ELSEWHERE))
        assert told.wait(30)
        assert own.lost
    assert claims(s3, bucket) == [ELSEWHERE]


def test_a_machine_that_wakes_asks_before_it_writes_whether_another_driver_has_its_study(
    s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []
    with taken(bucket, lambda: told.append(True)) as own:
        monkeypatch.setattr(lease, "STALE_S", 0.0)  # it slept for longer; the next renewal is due in 20 s
        assert own.holds()
        for name in s3.names(bucket, "results/.drivers/"):
            s3.client.delete_object(Bucket=bucket, Key=name)
        s3.client.put_object(Bucket=bucket, Key="results/.drivers/night/other.json", Body=json.dumps(ELSEWHERE))
        assert not own.holds()
        assert not own.holds()
    assert told == [True], "once"
    assert claims(s3, bucket) == [ELSEWHERE]


def test_a_driver_that_cannot_ask_after_a_sleep_does_not_write(
    s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(bucket) as own:
        monkeypatch.setattr(lease, "STALE_S", 0.0)
        s3.line.cut()
        try:
            with pytest.raises(StoreUnavailable):
                own.holds()
        finally:
            s3.line.mend()
        assert own.holds()


def test_a_bucket_that_is_gone_is_no_other_driver(s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = list[bool]()
    with taken(bucket, lambda: lost.append(True)) as held:
        monkeypatch.setattr(lease, "STALE_S", 0.0)  # it asks before each write
        for name in s3.names(bucket):
            s3.client.delete_object(Bucket=bucket, Key=name)
        for item in s3.client.list_objects_v2(Bucket=bucket).get("Contents", []):
            s3.client.delete_object(Bucket=bucket, Key=item["Key"])
        s3.client.delete_bucket(Bucket=bucket)
        with pytest.raises(UserError, match=f"there is no bucket '{bucket}'"):
            held.holds()
        assert lost == []
        assert not held.lost


def test_a_renewal_that_meets_the_end_takes_no_other_driver_for_the_reason(
    s3: Server, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, place = opened(parsed(f"s3://{bucket}")), parsed(f"s3://{bucket}/results")
    asking, ended, answered, lost = (threading.Event() for _ in range(4))

    def late(*args: Any) -> bytes | None:
        asking.set()
        assert ended.wait(60)
        try:
            return content(*args)
        finally:
            answered.set()

    monkeypatch.setattr(lease, "RENEW_S", 0.01)
    with StoreLease(store, place, "night", lost.set) as held:
        monkeypatch.setattr(lease, "content", late)
        assert asking.wait(60)
    ended.set()
    assert answered.wait(60)
    with held._asking:  # the renewal has ended
        assert not lost.is_set()
        assert not held.lost
