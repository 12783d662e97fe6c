"""Requests that change nothing write nothing, on either database; and no notice costs a row for each who is told."""

import sqlite3
from contextlib import closing

import pytest

from tests.databases import DATABASES, query
from tests.integration.api_users import ApiUser, make_site, new, part

TABLES = (
    "SELECT table_name FROM information_schema.tables"
    " WHERE table_schema = 'public' AND table_name LIKE 'chat\\_%' ORDER BY 1"
)


class Writes:
    """`count()` differs after any transaction that changed the database."""

    def __init__(self, url):
        self._url = url
        self._is_sqlite = url.startswith("sqlite:///")
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///")) if self._is_sqlite else None

    def count(self):
        if self._connection is not None:
            return self._connection.execute("PRAGMA data_version").fetchone()
        # Each version of a row has the number of the transaction that wrote it.
        one = "SELECT '{0}', md5(coalesce(string_agg(xmin::text || ctid::text, ',' ORDER BY ctid), '')) FROM {0}"
        return query(self._url, " UNION ALL ".join(one.format(name) for (name,) in query(self._url, TABLES)))

    def close(self):
        if self._connection is not None:
            self._connection.close()


@pytest.fixture(scope="module", params=DATABASES)
def url(request, fresh_database):
    return fresh_database(request.param)


@pytest.fixture(scope="module")
def site(tmp_path_factory, url):
    return make_site(tmp_path_factory, CHAT_DATABASE_URL=url, CHAT_INVITATIONS="direct")


@pytest.fixture
def unwritten(site, url):
    """unwritten(call) calls it and returns its result; it has written nothing."""
    with closing(Writes(url)) as writes:

        def unwritten(call, *args):
            before = writes.count()
            result = call(*args)
            assert writes.count() == before
            return result

        yield unwritten


@pytest.fixture
def ann(site):
    return ApiUser(site, "ann")


@pytest.fixture
def bob(site):
    return ApiUser(site, "bob")


@pytest.fixture
def room(ann, bob):
    """A private room of ann's in which bob is a member."""
    room = ann.make(new("den"), "private", topic="what we like")
    ann.add(room, bob)
    ann.say(room, "1", "2", "3")
    return room


def test_the_check_itself_sees_a_write(ann, room, unwritten):
    with pytest.raises(AssertionError):
        unwritten(ann.patch, f"/rooms/{part(room)}", {"topic": "something else"})


def test_a_read_mark_that_does_not_move(bob, room, unwritten):
    path = f"/rooms/{part(room)}/read"
    first = bob.post(path, {"seq": 2})
    assert first == (200, {"seq": 2, "unread": 1, "mentions": 0})
    for seq in (2, 1, 0):
        assert unwritten(bob.post, path, {"seq": seq}) == first
    assert bob.post(path, {"seq": 99}) == (200, {"seq": 3, "unread": 0, "mentions": 0})
    assert unwritten(bob.post, path, {"seq": 100})[1]["seq"] == 3


def test_a_room_that_stays_as_it_is(ann, room, unwritten):
    path = f"/rooms/{part(room)}"
    before = ann.get(path)
    title, topic = before[1]["title"], before[1]["topic"]
    for change in ({}, {"title": title}, {"topic": topic}, {"title": title, "topic": topic}):
        assert unwritten(ann.patch, path, change) == before
    public = ann.make(new("tea"), topic="")
    for change in ({"topic": ""}, {"title": public}):
        assert unwritten(ann.patch, f"/rooms/{part(public)}", change)[0] == 200


def test_a_member_who_is_one_and_a_role_that_is_the_same(ann, bob, room, unwritten):
    path = f"/rooms/{part(room)}/members"
    status, member = unwritten(ann.post, path, {"username": bob.name, "role": "admin"})
    assert (status, member["role"]) == (200, "member")
    assert unwritten(ann.patch, f"{path}/{part(bob.id)}", {"role": "member"})[0] == 200
    public = ann.make(new("tea"))
    assert unwritten(ann.post, f"/rooms/{part(public)}/join")[0] == 200
    assert unwritten(bob.post, f"/rooms/{part(public)}/leave") == (204, None)


def test_reading(ann, room, unwritten):
    ann.rooms()  # makes ann a member of the lobby
    for path in ("/rooms", "/unread", "/directory", "/search?q=tea", f"/rooms/{part(room)}/messages"):
        assert unwritten(ann.get, path)[0] == 200
    unwritten(ann.get, "/rooms/nowhere")


def test_a_user_of_the_same_name(ann, site, unwritten):
    chat = site.extensions["chat"]
    chat.rename(ann.id, ann.name)
    unwritten(chat.rename, ann.id, ann.name)
    unwritten(chat.users.ensure, ann.identity)
    unwritten(chat.users.create_many, [ann.name])


def test_a_notice_to_many_is_one_row(site, url, ann):
    chat = site.extensions["chat"]
    rows = "SELECT count(*) FROM chat_control"
    before = query(url, rows)[0][0]
    chat.rooms.push_room_changes([f"id-{number}" for number in range(50)], "den", "updated")
    assert query(url, rows)[0][0] == before + 1
