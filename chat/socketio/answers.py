"""The answers of clients to an event that was sent to many of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol


class Answers(list[Any]):
    """What clients answered, in the order in which it came. A client's answer of several parts is a list."""

    def __init__(
        self, answers: Iterable[Any] = (), missing: Iterable[str] = (), is_complete: bool = True
    ) -> None:
        super().__init__(answers)
        #: Ids of the sessions that did not answer in time, or disconnected before they did.
        self.missing = list(missing)
        #: Whether every client answered. False without any `missing`: a worker did not say whom it has asked.
        self.is_complete = is_complete and not self.missing


class AckTimeout(TimeoutError):
    """Not all clients answered in time: `answers` holds what came, and in `missing` who did not answer."""

    def __init__(self, message: str, answers: Answers | None = None) -> None:
        super().__init__(message)
        self.answers = Answers() if answers is None else answers


class Collector(Protocol):
    """What receives the answers to one event; in the loop."""

    def asked(self, ids: list[str]) -> None:
        """The event was sent to the sessions `ids` of this worker."""

    def answered(self, id: str, answer: list[Any]) -> None:
        """The session `id` answered."""

    def lost(self, id: str) -> None:
        """The session `id` disconnected, and will not answer."""


class Gathering:
    """Collects the answers of the clients of all workers. In the loop.

    `done(answers)` is called once: when all have answered or were lost, or at `expire`. `workers` are the numbers of
    the other workers, of which each reports whom it has asked.
    """

    def __init__(self, workers: Iterable[int], done: Callable[[Answers], None]) -> None:
        self._silent: set[int | None] = set(workers)
        self._done: Callable[[Answers], None] | None = done
        self._waiting: dict[str, None] = {}
        self._answers: list[Any] = []
        self._lost: list[str] = []

    def asked(self, ids: list[str], worker: int | None = None) -> None:
        """Wait for the sessions `ids`, of another worker where `worker` names one."""
        self._silent.discard(worker)
        self._waiting.update(dict.fromkeys(ids))
        self._check()

    def answered(self, id: str, answer: list[Any]) -> None:
        """Take the answer of a session."""
        if id in self._waiting:
            del self._waiting[id]
            self._answers.append(single(answer))
            self._check()

    def lost(self, id: str) -> None:
        """Wait for a session no longer."""
        if id in self._waiting:
            del self._waiting[id]
            self._lost.append(id)
            self._check()

    def expire(self) -> None:
        """Wait no longer."""
        done, self._done = self._done, None
        if done is not None:
            done(Answers(self._answers, [*self._lost, *self._waiting], not self._silent))

    def _check(self) -> None:
        if not self._waiting and not self._silent:
            self.expire()


def single(answer: list[Any]) -> Any:
    """Return an answer as the site gets it: the value itself where it has one part."""
    return answer[0] if len(answer) == 1 else list(answer)
