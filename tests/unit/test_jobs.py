"""Site code outside the tick: in order for each session, side by side otherwise, and never in the loop's way.

Every test here runs again in a process that gevent has patched.
"""

import logging
import threading
import time

import pytest

from chat.loop.drivers import make_driver
from chat.loop.jobs import Jobs
from chat.loop.reactor import Reactor
from tests.again_under_gevent import again_under_gevent, is_patched

TIMEOUT = 10.0
SIZE = 5


def until(condition):
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


@pytest.fixture
def failures():
    return []


@pytest.fixture
def jobs(failures):
    return Jobs(make_driver(), SIZE, failures.append)


@pytest.fixture
def gate():
    """Jobs may wait for it; opened at the end, so that none is left behind."""
    gate = threading.Event()
    yield gate
    gate.set()


def test_a_session_has_its_jobs_done_in_order_one_at_a_time(jobs):
    done, running = [], []

    def work(number):
        running.append(number)
        time.sleep(0.002)
        done.append((number, list(running)))
        running.remove(number)

    for number in range(SIZE):
        assert jobs.put("ann", work, number)
    until(lambda: len(done) == SIZE)
    assert done == [(number, [number]) for number in range(SIZE)]


def test_a_session_can_be_used_again_after_it_was_idle(jobs):
    done = []
    for number in range(3):
        jobs.put("ann", done.append, number)
        until(lambda number=number: number in done)
    assert done == [0, 1, 2]


def test_sessions_do_not_wait_for_one_another(jobs, gate):
    done = []
    jobs.put("slow", gate.wait)
    jobs.put("slow", done.append, "slow")
    for session in ("ann", "bob", "cat"):
        jobs.put(session, done.append, session)
    until(lambda: len(done) == 3)
    assert sorted(done) == ["ann", "bob", "cat"]
    gate.set()
    until(lambda: "slow" in done)


def test_jobs_put_at_once_while_a_worker_is_free_do_not_wait_for_one_another(jobs, gate):
    for _ in range(20):
        started = []
        jobs.put("first", lambda: None)
        until(lambda: not jobs._queues)

        def wait_for_the_other(started=started):
            started.append(True)
            until(lambda: len(started) == 2)

        jobs.put("a", wait_for_the_other)
        jobs.put("b", wait_for_the_other)
        until(lambda started=started: len(started) == 2)
        until(lambda: not jobs._queues)


def test_a_full_queue_drops_what_comes_and_says_so(jobs, gate):
    done = []
    jobs.put("ann", gate.wait)
    until(lambda: not jobs._queues["ann"])  # it has begun
    assert [jobs.put("ann", done.append, i) for i in range(SIZE + 2)] == [True] * SIZE + [False] * 2
    assert jobs.dropped == 2
    assert jobs.put("bob", done.append, "bob")
    gate.set()
    until(lambda: len(done) == SIZE + 1)
    assert [i for i in done if i != "bob"] == list(range(SIZE))


class Timeout(BaseException):
    """As gevent.Timeout: no Exception."""


@pytest.mark.parametrize("kind", [RuntimeError, Timeout, SystemExit])
def test_a_job_that_fails_is_told_and_the_next_one_is_done(jobs, failures, kind):
    done, error = [], kind("failed")

    def fail():
        raise error

    jobs.put("ann", fail)
    jobs.put("ann", done.append, 1)
    until(lambda: done)
    jobs.put("ann", done.append, 2)
    until(lambda: done == [1, 2])
    assert failures == [error]


def test_failing_to_tell_of_a_failure_stops_nothing(jobs, failures):
    done = []
    jobs._failed = lambda error: 1 / 0
    for _ in range(10):  # more than there are threads
        jobs.put("ann", lambda: 1 / 0)
        jobs.put("ann", done.append, 1)
        until(lambda: done)
        done.clear()


# -- from a tick


@pytest.fixture
def reactor():
    reactor = Reactor(lambda: None, lambda message, error: None)
    yield reactor
    reactor.close()


def test_a_job_put_in_a_tick_runs_outside_it(jobs, reactor):
    seen = []
    reactor.call_soon(jobs.put, "ann", lambda: seen.append(reactor._in_tick))
    until(lambda: seen)
    assert seen == [False]


def test_a_job_that_blocks_does_not_hold_up_the_loop(jobs, reactor, gate):
    ticks = []
    reactor.call_soon(jobs.put, "ann", gate.wait)
    for number in range(50):
        reactor.call_soon(ticks.append, number)
    until(lambda: len(ticks) == 50)


def test_what_ends_a_session_is_done_however_full_its_queue_is(jobs, gate):
    done = []
    jobs.put("ann", gate.wait)
    while jobs.put("ann", done.append, "work"):
        pass
    for number in range(3):
        jobs.put_last("ann", done.append, number)
    gate.set()
    until(lambda: done[-3:] == [0, 1, 2])


class Held(logging.Handler):
    """A handler that is busy."""

    def __init__(self):
        super().__init__()
        self.written = []

    def emit(self, record):
        self.written.append(record.getMessage())


def test_a_tick_can_log_while_somebody_holds_the_handlers_lock(failures):
    logger, handler = logging.Logger("busy"), Held()
    logger.addHandler(handler)
    jobs = Jobs(make_driver(), SIZE, failures.append)
    reactor = Reactor(lambda: None, lambda message, error: jobs.put("log", logger.error, message))
    ticks = []
    with handler.lock:
        for number in range(SIZE):
            reactor.call_soon(lambda: 1 / 0)
            reactor.call_soon(ticks.append, number)
        until(lambda: len(ticks) == SIZE)
        assert handler.written == []
    until(lambda: len(handler.written) == SIZE)
    assert not failures
    reactor.close()


@pytest.mark.skipif(is_patched(), reason="this is that process")
@pytest.mark.slow
def test_all_of_this_holds_under_gevent_too():
    again_under_gevent(__file__)
