"""The data in the chat page's document that let it show the first message without another request.

They are a socket token, and the API's answers to the scripts' first requests (static/js/first_answers.js): the rooms,
and the newest messages and members of the room in the address. The API's own views make the answers, so they contain
nothing that the user could not request. An answer that fails or is large is left out; the scripts then request it.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import orjson
from flask import Request

from ..rooms.access import LOBBY
from ..service import ChatService
from ..store.history import DIRECT, StoreUnavailable
from ..wire.envelope import Identity
from ..wire.errors import ChatError
from . import tokens
from .api import members, messages, rooms
from .api.call import Call

#: How many the scripts request at a time: `PAGE` of history.js and of members.js.
MESSAGES, MEMBERS = 50, 100
#: With this many unread messages, a room opens at the first of them: `AT_ONCE` of reading.js.
MANY_UNREAD = 30
#: The most bytes of JSON in one answer: a quarter of a second at 1 Mbit/s.
MOST = 32_768

Answers = dict[str, Any]


def make(chat: ChatService, user: Identity, request: Request) -> dict[str, Any]:
    """Return {"token", "answers"} for the page of `user`, or {} if the user is banned or the store fails."""
    try:
        chat.start()  # the runtime knows who is banned
        if chat.guard.is_banned(user.id):
            return {}
        answers = _Answers(chat, user, request)
        answers.gather(request.args.get("room") or LOBBY, request.args.get("at", type=int))
        return {"token": tokens.issue(chat, user), "answers": answers.found}
    except StoreUnavailable:
        return {}


class _Answers:
    """Collects the answers for one page in `found`, by the path of the request that each answers."""

    def __init__(self, chat: ChatService, user: Identity, request: Request) -> None:
        self._chat, self._user, self._request = chat, user, request
        self.found: Answers = {}

    def gather(self, name: str, at: int | None) -> None:
        """Collect what the page of the room `name` requests, at the message `at`."""
        mine = self._mine()
        try:
            room = mine.get(name) or self._other(name)
            self._messages(room, at or _first_unread(room))
            self._members(LOBBY if room["kind"] == DIRECT else name)
        except ChatError:
            return  # the room is unknown or closed to the user: the API tells the scripts so

    def _mine(self) -> dict[str, Answers]:
        """Collect the user's rooms, and return them by name."""
        answer, _ = rooms.mine(self._call())
        shown = [room | {"last": None} for room in answer["rooms"]]
        self._add("rooms", answer | {"rooms": shown})
        return {room["name"]: room for room in shown}

    def _other(self, name: str) -> Answers:
        """Collect and return a room of which the user is not a member."""
        answer, _ = rooms.read(self._call(), name)
        if answer["name"] == name:
            self._add(_path("rooms", name), answer)
        return answer

    def _messages(self, room: Answers, around: int | None) -> None:
        position = {"around": str(around)} if around else {}
        page, _ = messages.history(self._call(limit=str(MESSAGES), **position), room["name"])
        path = _path("rooms", room["name"], "messages")
        if around:
            self._add(f"{path}?around={around}", page)
        else:
            self._add(path, _shortened(page))

    def _members(self, name: str) -> None:
        answer, _ = members.listing(self._call(limit=str(MEMBERS)), name)
        self._add(_path("rooms", name, "members"), answer)

    def _call(self, **args: str) -> Call:
        return Call(self._chat, self._user, self._request, args)

    def _add(self, path: str, answer: Answers) -> None:
        if len(orjson.dumps(answer)) <= MOST:
            self.found[path] = answer


def _path(*parts: str) -> str:
    """Return the path of a request, its parts encoded like JavaScript's encodeURIComponent does."""
    return "/".join(quote(part, safe="!~*'()") for part in parts)


def _first_unread(room: Answers) -> int | None:
    """Return the seq at which the page opens the room, None for the newest messages, as always in the lobby."""
    first = max(room["read_seq"], room["first_seq"] - 1) + 1
    is_counted = room["role"] is not None and not room["ephemeral"] and room["name"] != LOBBY
    return first if is_counted and room["last_seq"] - first >= MANY_UNREAD else None


def _shortened(page: Answers) -> Answers:
    """Return a page of the newest messages, without the oldest of them if they are long."""
    room, kept = MOST - 1_000, []
    for message in reversed(page["messages"]):
        room -= len(orjson.dumps(message)) + 1
        if room < 0:
            break
        kept.append(message)
    more = page["more_before"] or len(kept) < len(page["messages"])
    return page | {"messages": kept[::-1], "more_before": more}
