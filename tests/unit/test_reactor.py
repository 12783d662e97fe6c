"""The loop: it survives whatever is done in it. Every test here runs again in a process that gevent has patched."""

import os
import socket
import sys
import threading
import time
from itertools import pairwise

import pytest

from chat.loop.drivers import GeventDriver, ThreadDriver
from chat.loop.reactor import IDLE_INTERVAL, Reactor
from tests.again_under_gevent import again_under_gevent, is_patched

TIMEOUT = 10.0


def until(condition):
    """Wait for it; the loop turns meanwhile."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.001)


class Journal:
    """What a reactor called, in order, and whom it told of errors."""

    def __init__(self):
        self.calls, self.errors, self.flushes = [], [], 0

    def flush(self):
        self.flushes += 1

    def log(self, message, error):
        self.errors.append(error)


class Socket:
    """Something parked: it notes what it reads, and does what a test gave it to do."""

    def __init__(self, journal, act=None):
        self.journal, self.act = journal, act
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.fd = self.ours.fileno()
        self.read, self.written, self.more, self.failure = b"", 0, 0, None

    def readable(self):
        if self.act is not None:
            self.act(self)
        if self.more:
            self.more -= 1
            return self.more > 0
        self.read += self.ours.recv(1 << 16)
        return False

    def writable(self):
        self.written += 1
        if self.act is not None:
            self.act(self)

    def fail(self, error):
        self.failure = error
        self.end()

    def end(self):
        """As a client does: out of the reactor first, then closed."""
        self.journal.reactor.remove(self)
        self.fd = -1
        self.ours.close()


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture
def reactor(journal):
    journal.reactor = Reactor(journal.flush, journal.log)
    yield journal.reactor
    journal.reactor.close()


@pytest.fixture
def park(reactor, journal):
    """Make a Socket and have it read by the reactor."""
    made = []

    def make(act=None):
        parked = Socket(journal, act)
        made.append(parked)
        reactor.call(reactor.add, parked)
        until(lambda: parked in reactor.parked() or parked.fd < 0)
        return parked

    yield make
    for parked in made:
        reactor.call(reactor.remove, parked)
    until(lambda: not len(reactor))
    for parked in made:
        parked.ours.close()
        parked.theirs.close()


def test_the_driver_is_that_of_the_process(reactor):
    assert type(reactor.driver) is (GeventDriver if is_patched() else ThreadDriver)


# -- reading and flushing


def test_what_comes_is_read_and_the_tick_ends_with_a_flush(park, journal):
    parked = park()
    flushes = journal.flushes
    parked.theirs.sendall(b"hello")
    until(lambda: parked.read == b"hello")
    until(lambda: journal.flushes > flushes)


def test_what_stays_buffered_gets_another_tick_though_nothing_comes(park):
    parked = park()
    parked.more = 5
    parked.theirs.sendall(b"x")
    until(lambda: parked.more == 0)


def test_read_again_calls_without_anything_to_read(park, reactor):
    parked = park()
    parked.more, began = 5, time.monotonic()
    reactor.call(reactor.read_again, parked)
    until(lambda: parked.more == 0)
    assert parked.read == b""
    assert time.monotonic() - began < IDLE_INTERVAL


def test_writable_is_called_while_it_is_wanted(park, reactor):
    parked = park()
    reactor.call(reactor.watch_writable, parked, True)
    until(lambda: parked.written > 1)
    reactor.call(reactor.watch_writable, parked, False)
    pass_a_tick(reactor)
    count = parked.written
    parked.theirs.sendall(b"x")
    until(lambda: parked.read)
    assert parked.written == count


def pass_a_tick(reactor):
    done = []
    reactor.call_soon(done.append, True)
    until(lambda: done)


def test_what_was_removed_is_not_read(park, reactor):
    parked, other = park(), park()
    reactor.call(reactor.remove, parked)
    pass_a_tick(reactor)
    parked.theirs.sendall(b"x")
    other.theirs.sendall(b"x")
    until(lambda: other.read)
    assert parked.read == b""


def test_who_is_paused_is_not_read_until_it_is_resumed(park, reactor):
    parked, other = park(), park()
    parked.more = 5  # buffered
    reactor.call(reactor.pause, parked)
    reactor.call(reactor.read_again, parked)
    reactor.call(reactor.watch_writable, parked, True)
    reactor.call(reactor.watch_writable, parked, False)
    pass_a_tick(reactor)
    for one in (parked, other):
        one.theirs.sendall(b"x")
    until(lambda: other.read == b"x")
    pass_a_tick(reactor)
    assert (parked.read, parked.more) == (b"", 5)
    reactor.call(reactor.resume, parked)
    until(lambda: (parked.read, parked.more) == (b"x", 0))


def test_who_is_paused_is_written_to(park, reactor):
    parked = park()
    reactor.call(reactor.watch_writable, parked, True)
    reactor.call(reactor.pause, parked)
    pass_a_tick(reactor)
    count = parked.written
    until(lambda: parked.written > count)


# -- what may go wrong


def boom(*_):
    raise RuntimeError("boom")


def test_a_handler_that_raises_closes_its_own_client_alone(park, journal):
    bad, good = park(boom), park()
    for parked in (bad, good):
        parked.theirs.sendall(b"x")
    until(lambda: bad.failure and good.read)
    assert good.failure is None
    assert [str(error) for error in journal.errors] == ["boom"]
    good.theirs.sendall(b"y")
    until(lambda: good.read == b"xy")


def test_writing_that_raises_closes_its_own_client_alone(park, reactor):
    bad, good = park(boom), park()
    reactor.call(reactor.watch_writable, bad, True)
    until(lambda: bad.failure)
    good.theirs.sendall(b"x")
    until(lambda: good.read)


def test_a_client_closed_by_an_earlier_one_of_the_batch_is_skipped(park, reactor):
    seen = []

    def close_the_others(me):
        seen.append(me)
        for parked in reactor.parked():
            if parked is not me:
                parked.end()

    many = [park(close_the_others) for _ in range(4)]

    def all_at_once():
        for parked in many:
            parked.theirs.sendall(b"x")

    reactor.call(all_at_once)
    until(lambda: seen)
    pass_a_tick(reactor)
    assert len(seen) == 1
    assert not any(parked.failure for parked in many)


def test_one_that_ends_itself_while_it_writes_is_not_read_any_more(park, reactor, journal):
    ended = []

    def end(me):
        ended.append(me)
        me.end()

    parked = park(end)

    def both():
        parked.theirs.sendall(b"x")
        reactor.watch_writable(parked, True)

    reactor.call(both)
    until(lambda: ended)
    pass_a_tick(reactor)
    assert ended == [parked]
    assert not journal.errors


def test_one_that_waits_for_another_tick_and_is_closed_meanwhile_is_skipped(park, reactor):
    seen = []

    def close_the_other(me):
        seen.append(me)
        for parked in reactor.parked():
            if parked is not me:
                parked.end()

    pair = [park(close_the_other) for _ in range(2)]

    def both():
        for parked in pair:
            reactor.read_again(parked)
            parked.theirs.sendall(b"x")

    reactor.call(both)
    until(lambda: seen)
    pass_a_tick(reactor)
    assert len(set(seen)) == 1


def test_a_descriptor_that_is_given_out_again_is_the_new_ones(park, reactor, journal):
    old = park()
    number = old.fd
    reactor.call(old.end)
    until(lambda: old.fd < 0)
    new = park()
    assert new.fd == number
    new.theirs.sendall(b"new")
    until(lambda: new.read == b"new")
    assert not journal.errors


def test_a_peer_that_vanished_is_read_to_its_end(park, reactor):
    ends = []

    def act(me):
        if not me.ours.recv(10):
            ends.append(me)
            me.end()
        me.more = 1

    parked = park(act)
    parked.theirs.close()
    until(lambda: ends == [parked] and len(reactor) == 0)


def test_a_flush_that_raises_stops_nothing(park, reactor, journal):
    reactor._flush = boom
    parked = park()
    for text in (b"one", b"two"):
        parked.theirs.sendall(text)
        until(lambda text=text: parked.read.endswith(text))
    assert journal.errors


def test_a_log_that_raises_stops_nothing(park, reactor):
    reactor._log = boom
    bad, good = park(boom), park()
    reactor.call_soon(boom)
    for parked in (bad, good):
        parked.theirs.sendall(b"x")
    until(lambda: bad.failure and good.read)
    reactor.call(reactor.call_later, 0, boom)
    for text in (b"y", b"z"):
        good.theirs.sendall(text)
        until(lambda text=text: good.read.endswith(text))


def test_a_close_that_raises_stops_nothing(park):
    bad, good = park(boom), park()
    bad.fail = boom
    bad.theirs.sendall(b"x")
    good.theirs.sendall(b"x")
    until(lambda: good.read)


# -- calls


def test_call_soon_from_another_thread_runs_in_the_loop(reactor):
    where = []
    in_another_thread(lambda: reactor.call_soon(lambda: where.append(reactor.driver.is_loop_thread())))
    until(lambda: where)
    assert where == [True]


def in_another_thread(function):
    """Run it in a thread of the system's own, also where threading is patched to mean greenlets."""
    if is_patched():
        from gevent.threadpool import ThreadPool

        pool = ThreadPool(1)
        pool.apply(function)
        pool.kill()
    else:
        thread = threading.Thread(target=function)
        thread.start()
        thread.join()


def test_calls_keep_their_order_and_each_is_flushed(reactor, journal):
    order = []
    for i in range(100):
        reactor.call_soon(lambda i=i: order.append((i, journal.flushes)))
    until(lambda: len(order) == 100)
    assert [i for i, _ in order] == list(range(100))
    assert all(later > sooner for (_, sooner), (_, later) in pairwise(order))


def test_a_call_from_within_a_call_waits_for_the_flush(reactor, journal):
    seen = []

    def outer():
        flushes = journal.flushes
        reactor.call(lambda: seen.append(journal.flushes - flushes))
        seen.append("outer")

    reactor.call(outer)
    until(lambda: len(seen) == 2)
    assert seen[0] == "outer"
    assert seen[1] >= 1


def test_a_call_that_raises_is_told_and_the_next_one_runs(reactor, journal):
    done = []
    reactor.call(boom)
    reactor.call_soon(boom)
    reactor.call_soon(done.append, True)
    until(lambda: done)
    assert len(journal.errors) == 2


# -- timers


def test_timers_run_in_their_order_and_not_before_their_time(reactor):
    ran, began = [], time.monotonic()
    for delay in (0.06, 0.02, 0.04):
        reactor.call(reactor.call_later, delay, lambda d=delay: ran.append((d, time.monotonic() - began)))
    until(lambda: len(ran) == 3)
    assert [delay for delay, _ in ran] == [0.02, 0.04, 0.06]
    assert all(at >= delay for delay, at in ran)
    assert ran[0][1] < 1.0


def test_a_timer_set_from_a_timer_runs_too(reactor):
    ran = []
    reactor.call(reactor.call_later, 0.01, reactor.call_later, 0.01, ran.append, True)
    until(lambda: ran)


def test_a_sooner_timer_overtakes_a_later_one(reactor):
    ran = []
    reactor.call(reactor.call_later, 60, ran.append, "late")
    reactor.call(reactor.call_later, 0.01, ran.append, "soon")
    until(lambda: ran)
    assert ran == ["soon"]


def test_a_timer_that_raises_takes_no_other_along(reactor, journal):
    ran = []
    reactor.call(reactor.call_later, 0, boom)
    reactor.call(reactor.call_later, 0.001, ran.append, True)
    until(lambda: ran)
    assert [str(error) for error in journal.errors] == ["boom"]


# -- its health


def test_it_beats_while_idle_and_is_stalled_when_it_stopped(reactor, monkeypatch):
    import chat.loop.reactor

    reactor.call(reactor.call_later, 60, print)
    pass_a_tick(reactor)
    first = reactor._ticked
    until(lambda: reactor._ticked > first)  # by itself
    assert reactor._ticked - first < 2 * IDLE_INTERVAL
    assert not reactor.stalled()
    reactor.driver.stop()
    monkeypatch.setattr(chat.loop.reactor, "STALL", 1.5)
    until(reactor.stalled)


def test_closing_it_leaves_no_descriptor_behind(journal):
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        Reactor(journal.flush, journal.log).close()
    until(lambda: len(os.listdir("/proc/self/fd")) <= before + 1)  # gevent's loop may make one of its own


def test_threads_of_others_are_asked_to_yield_often(reactor):
    assert sys.getswitchinterval() <= 0.0001


@pytest.mark.skipif(is_patched(), reason="this is that process")
@pytest.mark.slow
def test_all_of_this_holds_under_gevent_too():
    again_under_gevent(__file__)
