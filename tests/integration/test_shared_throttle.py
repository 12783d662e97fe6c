"""Tries are counted by all workers together, on a real Valkey; without it each counts for itself."""

from itertools import count

import pytest

from accounts import shared_throttle
from accounts.shared_throttle import SharedThrottle
from tests.waiting import until

names = count()


@pytest.fixture
def workers(valkey_server):
    """The same throttle in three workers: 3 tries in 60 s."""
    name = f"throttle{next(names)}"
    return [SharedThrottle(3, 60, shared_throttle.connect(valkey_server.url), name) for _ in range(3)]


def test_an_attempt_counts_at_every_worker(workers):
    assert [worker.take("ann") for worker in workers] == [0, 0, 0]
    assert [55 < worker.take("ann") <= 60 for worker in workers] == [True] * 3
    assert workers[0].take("bob") == 0


def test_a_successful_attempt_is_not_counted_at_any_worker(workers):
    assert [worker.take("ann") for worker in workers] == [0, 0, 0]
    workers[1].give_back("ann")
    assert workers[2].take("ann") == 0
    assert workers[0].take("ann") > 0


def test_the_window_slides(valkey_server):
    throttle = SharedThrottle(1, 0.3, shared_throttle.connect(valkey_server.url), f"throttle{next(names)}")
    assert throttle.take("ann") == 0
    assert throttle.take("ann") == 1
    until(lambda: throttle.take("ann") == 0)


@pytest.mark.parametrize("seconds", [3_600, -3_600], ids=["back", "forward"])
def test_attempts_are_not_counted_for_longer_where_the_clock_of_redis_is_set_back(
    workers, valkey_server, seconds
):
    """An attempt from before the jump has a time of the clock as it was."""
    client = shared_throttle.connect(valkey_server.url)
    key = workers[0]._key("ann")
    then = (client.time()[0] + seconds) * 1000
    client.zadd(key, {f"attempt {number}": then for number in range(3)})
    assert [worker.take("ann") for worker in workers] == [0, 0, 0]
    assert 55 < workers[0].take("ann") <= 60
    assert client.pttl(key) <= 60_000


def test_no_name_or_address_is_stored_in_redis(workers, valkey_server):
    workers[0].take("ann@198.51.100.7")
    keys = b" ".join(shared_throttle.connect(valkey_server.url).keys("*"))
    assert b"ann" not in keys and b"198" not in keys


def test_without_redis_each_worker_counts_for_itself(own_valkey, monkeypatch):
    monkeypatch.setattr(shared_throttle, "RETRY_SECONDS", 0.2)
    throttle = SharedThrottle(2, 60, shared_throttle.connect(own_valkey.url), "throttle")
    own_valkey.kill()
    assert [throttle.take("ann") for _ in range(2)] == [0, 0]
    assert throttle.take("ann") > 0
    throttle.give_back("ann")
    assert throttle.take("ann") == 0
    own_valkey.start()
    until(lambda: throttle.take("bob") == 0 and throttle.take("bob") == 0 and not throttle._is_down())


def test_log_ins_are_throttled_over_all_workers(make_server, valkey_server):
    env = {"CHAT_REDIS_URL": valkey_server.url, "CHAT_REDIS_PREFIX": f"site{next(names)}"}
    one = make_server(env=env)
    other = make_server(env={**env, "CHAT_DATABASE_URL": one.env["CHAT_DATABASE_URL"]})
    one.cli("create-user", "ann", stdin="correct horse battery\ncorrect horse battery\n")
    wrong = {"username": "ann", "password": "not this one"}
    codes = [(one, other)[number % 2].post_json("/api/login", wrong)[0] for number in range(12)]
    assert codes == [401] * 10 + [429] * 2
