"""A driver whose turns a test takes: whatever a process does happens one step at a time, in the order the test likes.

All loops, background runs and jobs of all processes live in one thread, on a clock that the test turns. A step is a
tick of a loop that has something to do, or a background run up to where it waits next; every call of the store, and
every question to the loop, is a place where it waits. So each order in which gevent or threads might do things can be
had, and had again.
"""

import select

from greenlet import GreenletExit, getcurrent, greenlet

#: Rounds of turns after which something must go round in circles.
MANY = 1_000


def always():
    return True


class Clock:
    """Stands in for the module `time`; `now` is moved by hand."""

    def __init__(self):
        self.now = 1_000.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    def time_ns(self):
        return int(self.now * 1e9)


class Turns:
    """Everything that waits for a turn."""

    def __init__(self):
        self.clock = Clock()
        self._test = getcurrent()
        self._waiting = {}
        self._loops = []
        self._over = False

    # -- the test's side

    def ready(self):
        """What can take a step now: functions, in an order that depends on nothing else."""
        ticks = [loop.tick for loop in self._loops if loop.is_due()]
        return ticks + [lambda task=task: self._resume(task) for task, can in self._waiting.items() if can()]

    def step(self, choice=0):
        """Let one of those who can take a step; False where there are none."""
        ready = self.ready()
        if ready:
            ready[choice % len(ready)]()
        return bool(ready)

    def run(self, seconds=0.0):
        """Let all take turns until there is nothing to do, and for so many seconds."""
        end = self.clock.now + seconds
        for _ in range(MANY):
            ready = self.ready()
            for step in ready:
                step()
            if not ready:
                if self.clock.now >= end:
                    return
                self.clock.now += 0.25
        raise AssertionError("it never comes to rest")

    def end(self):
        """End all that waits."""
        self._over = True
        for task in list(self._waiting):
            task.throw(GreenletExit)
        self._waiting.clear()
        self._loops.clear()

    # -- the processes' side

    def begin(self, function, *args):
        self._waiting[greenlet(lambda: function(*args), self._test)] = always

    def add_loop(self, loop):
        self._loops.append(loop)

    def remove_loop(self, loop):
        if loop in self._loops:
            self._loops.remove(loop)

    def pause(self, until=always):
        """Wait for a turn; the test itself has it always."""
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
    """What one background run waits for."""

    def __init__(self, turns):
        self._turns = turns
        self._is_set = False

    def set(self):
        self._is_set = True

    def clear(self):
        self._is_set = False

    def wait(self, timeout=None):
        clock = self._turns.clock
        end = float("inf") if timeout is None else clock.now + timeout
        if not self._is_set:
            self._turns.pause(lambda: self._is_set or clock.now >= end)
        return self._is_set


class TurnsDriver:
    """A chat.loop.drivers.Driver."""

    def __init__(self, turns):
        self._turns = turns

    def epoll(self):
        return select.epoll()

    def start(self, epoll, tick, timeout):
        self._epoll, self.tick, self._timeout = epoll, tick, timeout
        self._turns.add_loop(self)

    def is_due(self):
        return not self._timeout() or bool(self._epoll.poll(0, 1))

    def rearm(self):
        pass

    def stop(self):
        self._turns.remove_loop(self)

    def join(self):
        pass

    def is_loop_thread(self):
        return True

    def spawn(self, function, *args):
        self._turns.begin(function, *args)

    background = spawn

    def run_blocking(self, function, *args):
        return function(*args)

    def event(self):
        return Event(self._turns)

    def one_shot_event(self):
        self._turns.pause()  # a loop in another thread may turn before it is asked
        return self.event()

    def sleep(self, seconds):
        end = self._turns.clock.now + seconds
        self._turns.pause(lambda: self._turns.clock.now >= end)


class Slow:
    """A History of which every call takes its time: others have turns before it is served, and before it returns."""

    def __init__(self, turns, history):
        self._turns = turns
        self._history = history

    def __getattr__(self, name):
        def call(*args, **options):
            self._turns.pause()
            try:
                return getattr(self._history, name)(*args, **options)
            finally:
                self._turns.pause()

        return call
