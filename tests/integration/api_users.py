"""Users of the JSON API, in the test's own process: each sends the token that the chat issued.

One app serves a module, since the threads of a running chat end with its process; so what a test makes has a name that
is new.
"""

import itertools
from urllib.parse import quote, urlencode

from chat.store.history import Draft
from tests.databases import migrated_sqlite
from tests.servers import SECRET

ROOT = "/chat/api"
FORBIDDEN = (403, "forbidden")
_numbers = itertools.count(1)


def make_site(tmp_path_factory, **settings):
    """The reference site on a database of its own."""
    from app import create_app

    database = migrated_sqlite(tmp_path_factory.mktemp("api") / "chat.db")
    usual = {"TESTING": True, "WTF_CSRF_ENABLED": False, "SECRET_KEY": SECRET, "CHAT_DATABASE_URL": database}
    return create_app(usual | settings)


def new(name):
    """A name that no user and no room has yet."""
    return f"{name}{next(_numbers)}"


def part(name):
    """A name as part of a URL."""
    return quote(name, safe="")


def code(answer):
    """(status, code) of an error response."""
    status, body = answer
    assert body["error"]
    return status, body["code"]


class ApiUser:
    """A new user: `get("/rooms")` and the like return (status, JSON), None for an answer without a body."""

    def __init__(self, site, name):
        self.chat = site.extensions["chat"]
        self.identity = self.chat.users.create_many([new(name)])[0].identity
        self.id, self.name = self.identity
        self.shown = {"id": self.id, "username": self.name}
        self.token = self.chat.token_for(self.identity)
        self._client = site.test_client()

    def ask(self, method, path, json=None, **options):
        """The whole answer; `options` are the test client's."""
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return self._client.open(ROOT + path, method=method, json=json, headers=headers, **options)

    def _ask(self, method, path, json=None, **query):
        answer = self.ask(method, f"{path}?{urlencode(query)}" if query else path, json)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers.get("Content-Type") == ("application/json" if answer.data else None)
        return answer.status_code, answer.get_json(silent=True)

    def get(self, path, **query):
        return self._ask("GET", path, **query)

    def post(self, path, json=None):
        return self._ask("POST", path, json)

    def patch(self, path, json):
        return self._ask("PATCH", path, json)

    def delete(self, path):
        return self._ask("DELETE", path)

    # -- what most tests need first

    def make(self, title, kind="public", **others):
        """Create a room; return its name."""
        status, room = self.post("/rooms", {"title": title, "kind": kind, **others})
        assert status == 201, room
        return room["name"]

    def join(self, room):
        assert self.post(f"/rooms/{part(room)}/join")[0] == 200

    def add(self, room, other, role="member"):
        """Add another user to a room, who is asked and accepts; return the path of the membership."""
        status, member = self.post(f"/rooms/{part(room)}/members", {"username": other.name, "role": role})
        assert status in (201, 202), member
        if status == 202:
            assert other.post(f"/invitations/{part(room)}/accept")[0] == 200
        return f"/rooms/{part(room)}/members/{part(other.id)}"

    def say(self, room, *texts):
        """Store messages in a room, as sent over a socket."""
        self._store(Draft(2, room, self.identity, new("m"), False, text) for text in texts)

    def write(self, other, *texts):
        """Store direct messages; return the name of the conversation."""
        drafts = (
            Draft(3, None, self.identity, new("m"), False, text, other.name, other.id) for text in texts
        )
        return self._store(drafts)[-1].message.room

    def _store(self, drafts):
        return self.chat.history.append(list(drafts), 1)

    def rooms(self):
        """{name: room} of the user's own."""
        status, body = self.get("/rooms")
        assert status == 200
        return {room["name"]: room for room in body["rooms"]}

    def names(self, path, of, **query):
        """The names in a list, from all its pages."""
        found, after = [], {}
        while True:
            status, body = self.get(path, **query, **after)
            assert status == 200, body
            found += [one.get("username") or one["name"] for one in body[of]]
            if body["next"] is None:
                return found
            after = {"after": body["next"]}
