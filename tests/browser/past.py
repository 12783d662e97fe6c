"""What was said before anybody came: written into a server's history as its own writer does it."""

from itertools import count

from chat.store.engine import make_engine
from chat.store.history import Draft
from chat.store.sql import SqlHistory
from chat.store.users import Users
from chat.wire.envelope import Identity
from tests.contract.threads import run

_numbers = count(1)


class Past:
    """The history of a server, for a test to write into; a context manager."""

    def __init__(self, server):
        self._engine = make_engine(server.env["CHAT_DATABASE_URL"])
        self.history = SqlHistory(self._engine, run)
        self.users = Users(self._engine, run)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.history.close()
        self._engine.dispose()

    def person(self, name):
        """Somebody who has been at the site, and is not now."""
        identity = Identity(f"id-{name}", name)
        self.users.ensure(identity)
        return identity

    def room(self, title, said=(), *, kind="public", topic="", members=(), by="Somebody"):
        """The name of a new room, in which this was said; `members` are Persons, who have read none of it."""
        room = self.history.create_room(title, kind, self.person(by), topic)
        for person in members:
            self.history.join(room.id, Identity(person.id, person.name))
        self.say(room.name, said, by)
        return room.name

    def say(self, room, texts, by="Somebody"):
        """Have `texts` said in a room, one after the other."""
        sender = self.person(by)
        drafts = [Draft(2, room, sender, f"past-{next(_numbers)}", False, text) for text in texts]
        for start in range(0, len(drafts), 500):
            self.history.append(drafts[start : start + 500], 1)

    def write(self, sender, receiver, text):
        """Have a Person of the site write to another."""
        draft = Draft(
            3, None, Identity(sender.id, sender.name), f"past-{next(_numbers)}", False, text, receiver.name
        )
        self.history.append([draft], 1)
