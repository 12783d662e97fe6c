"""What processes leave for each other in the store lasts as long as it should, whichever way the clock jumps."""

import time

import pytest

from chat.runtime import control as polling
from chat.runtime.control import KEEP_SECONDS, PRUNE_EVERY, ControlPoller
from chat.socketio.recovery import Recovery
from chat.socketio.subscriptions import KEPT_MS, SubscriptionStore
from chat.store import models, rows
from chat.store.io_sessions import IoSessions
from chat.store.io_values import IoSession
from tests.contract.threads import run
from tests.stepping import FakeClock, Scheduler, SteppedDriver

pytestmark = pytest.mark.contract
DAYS = 3 * 86_400


@pytest.fixture(params=[DAYS, -DAYS], ids=["forward", "back"])
def jump(request, monkeypatch):
    """Set the wall clock of this machine three days forward or back."""
    right_time_ns = time.time_ns

    def set_clock():
        monkeypatch.setattr(time, "time_ns", lambda: right_time_ns() + request.param * 10**9)

    return set_clock


class Poller(ControlPoller):
    """A reader of the control table that is polled by hand."""

    def __init__(self, table):
        super().__init__(SteppedDriver(Scheduler()), table, 0.5, table.last_id(), self)
        self.read = []

    def carry_out(self, row):
        self.read.append(row.id)

    def poll(self, times=1):
        for _ in range(times):
            self._poll()


def test_rows_are_kept_whatever_the_clock_says(control, jump, monkeypatch):
    clock = FakeClock()
    monkeypatch.setattr(polling, "time", clock)
    quick, slow = Poller(control), Poller(control)
    first = control.post("revoke", {"user_id": "7"})
    jump()
    quick.poll(PRUNE_EVERY)
    slow.poll()
    assert quick.read == slow.read == [first]
    second = control.post("revoke", {"user_id": "7"})
    clock.now += KEEP_SECONDS / 2
    quick.poll(PRUNE_EVERY)
    assert [row.id for row in control.after(0)] == [first, second]
    clock.now += KEEP_SECONDS / 2
    quick.poll(PRUNE_EVERY)
    assert [row.id for row in control.after(0)] == [second]


class Hub:
    settings = None


def maintainer(sessions, number):
    """One process's part that renews its stored sessions."""
    recovery = Recovery(120, time.monotonic)
    recovery.origin = number
    sessions.save([IoSession(f"of{number}", "7", {})], number)
    return SubscriptionStore(Hub(), recovery, sessions, "/")


def test_sessions_are_kept_whatever_the_clock_says(engine, jump):
    sessions = IoSessions(engine, run)
    stores = [maintainer(sessions, number) for number in (1, 2)]
    for store in stores:
        store._renew()
    jump()
    started_since = maintainer(sessions, 3)
    for store in (*stores, started_since) * 2:
        store._renew()
    assert all(sessions.get(f"of{number}") for number in (1, 2, 3))


def test_sessions_of_killed_processes_are_deleted(engine, monkeypatch):
    sessions = IoSessions(engine, run)
    store = maintainer(sessions, 1)
    maintainer(sessions, 2)
    with engine.begin() as connection:
        old = models.io_sessions.update().values(updated_at=rows.clock_ms(connection) - KEPT_MS - 1)
        connection.execute(old)
    store._renew()
    assert sessions.get("of2")
    store._renew()
    assert sessions.get("of1") and not sessions.get("of2")
