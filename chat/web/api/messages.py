"""Messages: a room's history, search, unread counts, read marks."""

from __future__ import annotations

from typing import Any

from ...rooms.access import LOBBY
from ...store.history import History, Message, RoomRow
from . import fields, pages, shapes
from .call import NO_ID, Call
from .fields import Position

Answer = tuple[Any, int]


def history(call: Call, room: str) -> Answer:
    """A page of a room's messages, in ascending order."""
    row = call.room(room).row
    limit, position = fields.limit(call.args), fields.position(call.args)
    page = _fitting(read_page(call.history, row.id, position, limit), position)
    low, high = _ends(page, position, row)
    return {
        "messages": page,
        "first_seq": row.first_seq,
        "last_seq": max([row.last_seq, *(message["seq"] for message in page[-1:])]),
        "epoch": row.epoch,
        "more_before": low > row.first_seq,
        "more_after": high < row.last_seq,
    }, 200


def read_page(history: History, room_id: int, position: Position | None, limit: int) -> list[Message]:
    """Return at most `limit` messages at a position, in ascending order; the newest if it is None."""
    if position is None:
        return history.before(room_id, None, limit)
    side, seq = position
    if side == "before":
        return history.before(room_id, seq, limit)
    if side == "after":
        return history.after(room_id, seq, limit)
    older = history.before(room_id, seq, limit)
    newer = history.after(room_id, seq - 1, limit)
    # Half of each; more from one side where the other side has fewer.
    keep = max(limit // 2, limit - len(newer))
    older = older[max(0, len(older) - keep) :]
    return older + newer[: limit - len(older)]


def _fitting(page: list[Message], position: Position | None) -> list[shapes.Shape]:
    """Return the messages that fit into a page: those nearest to its position."""
    shown = [shapes.message(message) for message in page]
    if position is None or position.side == "before":
        return pages.last_fitting(shown)
    return pages.fitting(shown) if position.side == "after" else pages.around(shown, position.seq)


def _ends(page: list[shapes.Shape], position: Position | None, row: RoomRow) -> tuple[int, int]:
    """Return the first and the last seq of a page; an empty page lies at its position."""
    if page:
        return page[0]["seq"], page[-1]["seq"]
    if position is not None and position.side == "before":
        return row.first_seq, max(position.seq, row.first_seq) - 1
    seq = row.last_seq if position is None else min(position.seq, row.last_seq)
    return seq + 1, row.last_seq


def search(call: Call) -> Answer:
    """Messages that contain all words of a text, newest first: of one room, or of all rooms of the user."""
    text = fields.query(call.args, needed=True)
    limit, before = fields.limit(call.args), fields.cursor(call.args)
    room = call.args.get("room")
    found = call.chat.searches.search(call.user.id, text, _room_ids(call, room), before, limit + 1)
    page = pages.fitting([shapes.message(message) for message in found[:limit]])
    following = str(found[len(page) - 1].pk) if len(found) > len(page) else None
    return {"messages": page, "next": following}, 200


def _room_ids(call: Call, room: str | None) -> list[int]:
    if room is not None:
        return [call.room(room).row.id]
    return [one.room.id for one in call.rooms()]


def unread(call: Call) -> Answer:
    """The unread counts of the user's rooms."""
    call.room(LOBBY)  # makes the user a member, so that the lobby counts from now on
    counts = call.history.unread(call.user.id)
    rooms = {name: {"unread": count, "mentions": mentions} for name, (count, mentions) in counts.items()}
    return {"rooms": rooms, "total": sum(count for count, _ in counts.values())}, 200


def mark_read(call: Call, room: str) -> Answer:
    """Move the user's read mark of a room forward."""
    row = call.room(room).row
    seq = fields.seq(call.body().get("seq"))
    if row.id == NO_ID:
        return {"seq": 0, "unread": 0, "mentions": 0}, 200
    mark = call.chat.rooms.mark_read(call.user, row.name, seq)
    return {name: mark[name] for name in ("seq", "unread", "mentions")}, 200
