"""What a process asks of others, and waits for a moment. Question and answer are hints: either may be lost."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from ..loop.reactor import Reactor
from . import bus_messages
from .presence import Presence

#: Seconds for which answers are waited for.
ANSWER_SECONDS = 0.5

Take = Callable[[int, str, list[Any]], None]


class Question:
    """One that was put to one process, or to all."""

    __slots__ = ("done", "missing", "answers")

    def __init__(self, done: Any) -> None:
        self.done = done
        #: Processes that have yet to answer.
        self.missing = 0
        self.answers: list[Any] = []


class Requests:
    """Those of one process, and its answers to the others'; `publish(channel, kind, *parts)` sends a hint."""

    def __init__(self, reactor: Reactor, publish: Callable[..., None], presence: Presence) -> None:
        self._reactor, self._publish, self._presence = reactor, publish, presence
        self._numbers = itertools.count(1)
        self._open: dict[int, Question] = {}
        #: When processes last let a question of their own go unanswered, of those that have not been heard since.
        self._silent: dict[int, float] = {}
        #: {what: what answers it}, in the loop; parts and answers are JSON.
        self.answers: dict[str, Callable[..., Any]] = {}
        #: What takes each kind of hint: take(sender, channel, parts).
        self.kinds: dict[str, Take] = {"ask": self._answer, "answer": self._take_answer}

    def ask(self, origin: int | None, what: str, *parts: Any, seconds: float = ANSWER_SECONDS) -> list[Any]:
        """Return what one process, or (None) each, answers in time; not from a tick, for it waits for them."""
        question = Question(self._reactor.driver.one_shot_event())
        number = next(self._numbers)
        if self._reactor.call_and_wait(self._put, number, question, origin, what, parts):
            question.done.wait(seconds)
        self._reactor.call_and_wait(self._end, number, question, origin)
        return question.answers

    def _put(
        self, number: int, question: Question, origin: int | None, what: str, parts: tuple[Any, ...]
    ) -> bool:
        """Put it; False where there is nobody to answer."""
        question.missing = len(self._presence) if origin is None else int(self._is_heard(origin))
        if not question.missing:
            return False
        self._open[number] = question
        channel = bus_messages.ALL if origin is None else bus_messages.process_channel(origin)
        self._publish(channel, "ask", number, what, *parts)
        return True

    def _is_heard(self, origin: int) -> bool:
        """Tell whether a process may answer: one that was killed would keep each who asks waiting."""
        heard = self._presence.heard(origin)
        if heard is not None and heard <= self._silent.get(origin, -1.0):
            return False
        self._silent.pop(origin, None)
        return heard is not None

    def _end(self, number: int, question: Question, origin: int | None) -> None:
        self._open.pop(number, None)
        if question.missing and origin is not None:
            self._silent[origin] = self._reactor.now

    def _answer(self, origin: int, channel: str, parts: list[Any]) -> None:
        number, what, *rest = parts
        answer = self.answers.get(what)
        if answer is not None:  # another version's question, perhaps
            self._publish(bus_messages.process_channel(origin), "answer", number, answer(*rest))

    def _take_answer(self, origin: int, channel: str, parts: list[Any]) -> None:
        number, answer = parts
        question = self._open.get(number)
        if question is None or not question.missing:
            return
        question.answers.append(answer)
        question.missing -= 1
        if not question.missing:
            question.done.set()
