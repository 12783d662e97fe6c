"""Appends for the tests of a failing database, and what is stored afterwards."""

from chat.store.history import Draft
from chat.wire.envelope import Identity

ADA = Identity("1", "Ada")


def append(history, data="hi", id=None, room="lobby", count=1):
    """Append messages and return them as they are stored."""
    drafts = [Draft(2, room, ADA, id or f"{data}{n}", True, data) for n in range(count)]
    return [stored.message for stored in history.append(drafts, 7)]


def stored(history, room="lobby"):
    """(seq, text) of a room's messages."""
    return [(message.seq, message.data) for message in history.after(history.room(room).id, 0, 1000)]
