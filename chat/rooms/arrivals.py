"""Clients that connect wait until this worker has delivered what was stored before they came.

A client may come from a worker that had delivered more than this one. If it were admitted at once, it would be sent
again, as new messages, what it has received there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import takewhile

from ..loop.reactor import Reactor
from .users import ConnectedUsers

#: Seconds after which a client is admitted all the same: the store does not answer.
PATIENCE = 1.0


class Arrival:
    """A client of the user `user_id` that waits, at most until `end`; `admit` is None once it was called."""

    __slots__ = ("user_id", "admit", "end")

    def __init__(self, user_id: str, admit: Callable[[], None], end: float) -> None:
        self.user_id = user_id
        self.admit: Callable[[], None] | None = admit
        self.end = end


class Arrivals:
    """The clients that wait. The group commit compares with the store and then admits them. In the loop."""

    def __init__(self, users: ConnectedUsers, reactor: Reactor) -> None:
        self._users = users
        self._reactor = reactor
        #: Those whose comparison has not begun, and all, the first that came first.
        self._waiting: list[Arrival] = []
        self._all: deque[Arrival] = deque()
        self._has_timer = False
        #: Called when there is a client to be served.
        self.wake: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> bool:
        """Whether clients wait for a comparison that has not begun yet; from any thread."""
        return bool(self._waiting)

    def put(self, user_id: str, admit: Callable[[], None]) -> None:
        """Call `admit()` as soon as everything is delivered that was stored before this call."""
        arrival = Arrival(user_id, admit, self._reactor.now + PATIENCE)
        # The comparison passes over conversations whose users are not expected here.
        self._users.add_absent(user_id)
        self._waiting.append(arrival)
        self._all.append(arrival)
        if not self._has_timer:
            self._has_timer = True
            self._reactor.call_later(PATIENCE, self._end_patience)
        self.wake()

    def wait(self, user_id: str) -> None:
        """Return when a client of that user may be admitted; it blocks: not from a tick."""
        done = self._reactor.driver.one_shot_event()
        self._reactor.call(self.put, user_id, done.set)
        done.wait(None)

    def take(self) -> list[Arrival]:
        """Return those for which a comparison that begins now is sufficient, each of them once."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def admit(self, arrivals: Iterable[Arrival]) -> None:
        """Admit these, unless their patience has ended before."""
        for arrival in arrivals:
            try:
                self._admit(arrival)
            except Exception as error:
                self._reactor.report("a client could not be admitted", error)
        while self._all and self._all[0].admit is None:
            self._all.popleft()

    def admit_all(self) -> None:
        """Admit all that wait now: the worker stops, and closes each of them as it does all other clients."""
        self.admit(list(self._all))

    def _end_patience(self) -> None:
        """Admit those that have waited for long enough, and come back for the next."""
        now = self._reactor.now
        self.admit(list(takewhile(lambda arrival: arrival.end <= now, self._all)))
        self._has_timer = bool(self._all)
        if self._has_timer:
            self._reactor.call_later(self._all[0].end - now, self._end_patience)

    def _admit(self, arrival: Arrival) -> None:
        admit, arrival.admit = arrival.admit, None
        if admit is None:
            return
        try:
            admit()
        finally:
            self._users.remove_absent(arrival.user_id)
