"""A driver that the test steps: whatever a process does happens one step at a time, in an order that the test chooses.

All loops, background tasks and jobs of all processes run in one thread, on a clock that the test advances. A step is
one tick of a loop that has work, or a background task up to the next point where it waits; each call of the store and
each request to the loop is such a point. So any order that gevent or threads could produce can be produced, and
repeated.
"""

import select

from greenlet import GreenletExit, getcurrent, greenlet

#: Rounds of steps after which `run` gives up: something never comes to rest.
MOST_ROUNDS = 1_000


def always():
    return True


class FakeClock:
    """Stands in for the module `time`; `now` is moved by hand."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def time_ns(self):
        return int(self.now * 1e9)


class Scheduler:
    """Everything that waits for its next step."""

    def __init__(self):
        self.clock = FakeClock()
        self._test = getcurrent()
        self._waiting = {}
        self._loops = []
        self._over = False

    # -- the test's side

    def ready(self):
        """The steps that can be taken now, as functions; their order is deterministic."""
        ticks = [loop.tick for loop in self._loops if loop.is_due()]
        return ticks + [lambda task=task: self._resume(task) for task, can in self._waiting.items() if can()]

    def step(self, choice=0):
        """Take one of the steps that can be taken; False where there is none."""
        ready = self.ready()
        if ready:
            ready[choice % len(ready)]()
        return bool(ready)

    def run(self, seconds=0.0):
        """Take all steps until there is nothing to do, and let so many seconds pass on the clock."""
        end = self.clock.now + seconds
        for _ in range(MOST_ROUNDS):
            ready = self.ready()
            for step in ready:
                step()
            if not ready:
                if self.clock.now >= end:
                    return
                self.clock.now += 0.25
        raise AssertionError("it never comes to rest")

    def end(self):
        """End every task that waits."""
        self._over = True
        for task in list(self._waiting):
            task.throw(GreenletExit)
        self._waiting.clear()
        self._loops.clear()

    # -- the processes' side

    def spawn(self, function, *args):
        self._waiting[greenlet(lambda: function(*args), self._test)] = always

    def add_loop(self, loop):
        self._loops.append(loop)

    def remove_loop(self, loop):
        if loop in self._loops:
            self._loops.remove(loop)

    def pause(self, until=always):
        """Wait for the next step of the calling task; the test itself never waits."""
        task = getcurrent()
        if task is self._test:
            assert until(), "the test would wait for itself"
            return
        if self._over:
            raise GreenletExit
        self._waiting[task] = until
        self._test.switch()

    def _resume(self, task):
        if self._waiting.pop(task, None) is not None:
            task.switch()


class Event:
    """An event that background tasks wait for."""

    def __init__(self, scheduler):
        self._scheduler = scheduler
        self._is_set = False

    def set(self):
        self._is_set = True

    def clear(self):
        self._is_set = False

    def wait(self, timeout=None):
        clock = self._scheduler.clock
        end = float("inf") if timeout is None else clock.now + timeout
        if not self._is_set:
            self._scheduler.pause(lambda: self._is_set or clock.now >= end)
        return self._is_set


class SteppedDriver:
    """A chat.loop.drivers.Driver."""

    def __init__(self, scheduler):
        self._scheduler = scheduler

    def epoll(self):
        return select.epoll()

    def start(self, epoll, tick, timeout):
        self._epoll, self.tick, self._timeout = epoll, tick, timeout
        self._scheduler.add_loop(self)

    def is_due(self):
        return not self._timeout() or bool(self._epoll.poll(0, 1))

    def rearm(self):
        pass

    def stop(self):
        self._scheduler.remove_loop(self)

    def join(self):
        pass

    def is_loop_thread(self):
        return True

    def spawn(self, function, *args):
        self._scheduler.spawn(function, *args)

    background = spawn

    def run_blocking(self, function, *args):
        return function(*args)

    def event(self):
        return Event(self._scheduler)

    def one_shot_event(self):
        self._scheduler.pause()  # a loop in another thread may tick before it is asked
        return self.event()

    def sleep(self, seconds):
        end = self._scheduler.clock.now + seconds
        self._scheduler.pause(lambda: self._scheduler.clock.now >= end)


class Yielding:
    """A History whose calls take time: other tasks may step before a call is served, and again before it returns."""

    def __init__(self, scheduler, history):
        self._scheduler = scheduler
        self._history = history

    def __getattr__(self, name):
        def call(*args, **options):
            self._scheduler.pause(lambda: not getattr(self._history, "hangs", False))
            try:
                return getattr(self._history, name)(*args, **options)
            finally:
                self._scheduler.pause()

        return call
