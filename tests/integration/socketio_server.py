"""The site of socketio_site.py as a process of its own, and its HTTP interface for tests."""

import json
import time
from urllib.parse import quote

from tests.servers import Server

APP = "tests.integration.socketio_site:create_app()"
QUICK = {"CHAT_RATE_LIMIT": "0", "CHAT_ROSTER_GRACE": "0.2", "ACCESS_LOG": ""}


class SocketIOServer(Server):
    """One server of that site, without a rate limit unless `env` sets one."""

    app_factory = APP

    def __init__(self, kind="gunicorn-gevent", env=None, options=()):
        super().__init__(kind, {**QUICK, **(env or {})}, self.app_factory, options)

    def emit(self, event, *args, room=None, namespace="/news", path="/emit"):
        """Have a view of the site emit."""
        self._post(path, event=event, args=args, room=room, namespace=namespace)

    def send(self, text, to=None, room="lobby"):
        """Have the site send a message to a room or to one user."""
        self._post("/say", text=text, to=to, room=room)

    def room(self, title, *members, private=False, ephemeral=False):
        """Make a room with these members, and return its name."""
        return self._post("/rooms", title=title, private=private, ephemeral=ephemeral, members=members)

    def remove(self, name, room):
        """Remove a member from a room."""
        self._post("/rooms/remove", name=name, room=room)

    def stored(self, room="lobby"):
        """[[seq, sender, text], …] of all messages that are stored in a room."""
        return json.loads(self.get(f"/rooms/stored?room={quote(room)}")[2])

    def user(self, username):
        """A token of a new user, whose row in the store lets it be kicked and banned by name."""
        return self._post(f"/users/{username}")

    def fresh_token(self, username):
        """A new token of a user made with `user`."""
        return self.get(f"/users/{username}/token")[2]

    def kick(self, username):
        self._post(f"/kick/{username}")

    def ban(self, username):
        self._post(f"/ban/{username}")

    def log_out(self, username):
        self._post(f"/log-out/{username}")

    def end_session(self, username, sid):
        self._post(f"/log-out/{username}/{sid}")

    def open_gate(self):
        self._post("/gate/open")

    def close_gate(self):
        self._post("/gate/closed")

    def journal(self, session_id, *events):
        """(event, value) of what handlers recorded about a session; only of `events`, where some are named."""
        entries = [entry for entry in self._journal() if entry["id"] == session_id]
        return [(one["event"], one["value"]) for one in entries if not events or one["event"] in events]

    def wait_journal(self, session_id, *events, count=1, timeout=10.0):
        """The same, once there are `count` of them."""
        deadline = time.monotonic() + timeout
        while len(recorded := self.journal(session_id, *events)) < count:
            assert time.monotonic() < deadline, recorded
            time.sleep(0.02)  # the journal is the only sign that a handler has run
        return recorded

    def _journal(self):
        return json.loads(self.get("/journal")[2])

    def _post(self, path, **value):
        status, answer = self.post_json(path, value)
        assert status == 200, answer
        return answer
