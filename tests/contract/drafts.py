"""Drafts and users for the tests of histories."""

from itertools import count

from chat.store.history import Draft
from chat.wire.envelope import Identity

ADA, BOB, CY = Identity("1", "Ada"), Identity("2", "Bob"), Identity("3", "Cy")
#: Of the same name as Bob but for the case; no history knows this user at first.
LOW_BOB = Identity("22", "bob")
ORIGIN = 77
#: The kinds of history, as the fixture `backend` takes them.
HISTORIES = ["memory", "sqlite", "postgresql"]
_numbers = count(1)


def new_id():
    return f"id{next(_numbers):06}"


def draft(data="hi", room="lobby", sender=ADA, id=None):
    """A draft for a room; with an `id`, one that the client chose."""
    return Draft(2, room, sender, id or new_id(), id is not None, data)


def direct(to, data="hi", sender=ADA, to_id=None, id=None):
    """A draft of a direct message."""
    return Draft(3, None, sender, id or new_id(), id is not None, data, to, to_id)


def append_texts(history, *texts, room="lobby", sender=ADA):
    """Append messages and return them as they are stored."""
    return [
        stored.message for stored in history.append([draft(text, room, sender) for text in texts], ORIGIN)
    ]


def texts(messages):
    return [message.data for message in messages]


def seqs(messages):
    return [message.seq for message in messages]
