"""Pages of the JSON API are bounded in bytes, and nothing is skipped between them."""

import json

import pytest

from chat.web.api.pages import PAGE_BYTES
from tests.integration.api_users import ApiUser, code, make_site, new

#: The longest message, four bytes a character, and how many of them a page holds.
LONG = "\U0001f600" * 10_000
FIT = PAGE_BYTES // len(json.dumps(LONG, ensure_ascii=False).encode())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory, CHAT_MAX_ROOMS_CREATED=1000)


@pytest.fixture
def ann(site):
    return ApiUser(site, "ann")


@pytest.fixture
def long(ann):
    """The messages of a room in which ann said 30 long ones."""
    room = ann.make(new("long"))
    ann.say(room, *[f"{number} tea {LONG}"[:10_000] for number in range(30)])
    return f"/rooms/{room}/messages"


def page(person, path, **query):
    """A page, which is not too large."""
    answer = person.ask("GET", f"{path}?{'&'.join(f'{key}={value}' for key, value in query.items())}")
    assert answer.status_code == 200
    assert len(answer.data) <= PAGE_BYTES + 1_000
    return answer.get_json()


def seqs(page):
    return [message["seq"] for message in page["messages"]]


def test_history_is_read_backwards_to_its_beginning(ann, long):
    newest = page(ann, long, limit=200)
    got = seqs(newest)
    assert 1 < len(got) <= FIT and got[-1] == 30
    while newest["more_before"]:
        newest = page(ann, long, limit=200, before=got[0])
        got = seqs(newest) + got
    assert got == list(range(1, 31))


def test_history_is_read_forwards_to_its_end(ann, long):
    oldest = page(ann, long, limit=200, after=0)
    got = seqs(oldest)
    while oldest["more_after"]:
        oldest = page(ann, long, limit=200, after=got[-1])
        got += seqs(oldest)
    assert got == list(range(1, 31))


@pytest.mark.parametrize("seq", [1, 2, 15, 29, 30])
def test_history_around_a_long_message_contains_it(ann, long, seq):
    middle = page(ann, long, limit=200, around=seq)
    got = seqs(middle)
    assert seq in got and got == list(range(got[0], got[-1] + 1))
    assert (middle["more_before"], middle["more_after"]) == (got[0] > 1, got[-1] < 30)


def test_search_continues_to_its_end(ann, long):
    found, query = [], {}
    while True:
        results = page(ann, "/search", q="tea", limit=200, **query)
        found += seqs(results)
        if results["next"] is None:
            break
        query = {"before": results["next"]}
    assert found == list(range(30, 0, -1))


def test_the_list_of_rooms_continues_to_its_end(ann):
    rooms = [ann.make(new("room")) for _ in range(12)]
    for room in rooms:
        ann.say(room, LONG)
    first = page(ann, "/rooms")
    assert 1 < len(first["rooms"]) <= FIT
    assert sorted(ann.names("/rooms", "rooms")) == sorted([*rooms, "lobby"])


def test_a_room_that_becomes_active_between_two_pages_is_listed(ann):
    rooms = [ann.make(new("room")) for _ in range(12)]
    for room in rooms:
        ann.say(room, LONG)
    first = page(ann, "/rooms")
    listed = [room["name"] for room in first["rooms"]]
    ann.say(next(room for room in rooms if room not in listed), "now it is the newest")
    listed += ann.names("/rooms", "rooms", after=first["next"])
    assert set(listed) == {*rooms, "lobby"}


@pytest.mark.parametrize(
    "cursor", ["", "1", "1.2", "1.2.3.4", "1.2.x", "1.2.\u0663", "-1.2.3", f"{10**18}.1.1"]
)
def test_a_cursor_of_no_list_of_rooms_is_refused(ann, cursor):
    assert code(ann.get("/rooms", after=cursor)) == (400, "bad_cursor")


def test_one_entry_that_is_larger_than_a_page_is_returned_alone(tmp_path_factory):
    site = make_site(tmp_path_factory, CHAT_MAX_MESSAGE_CHARS=200_000)
    ann = ApiUser(site, "ann")
    room = ann.make(new("huge"))
    ann.say(room, *["\U0001f600" * 100_000] * 2)
    status, body = ann.get(f"/rooms/{room}/messages", limit=2)
    assert (status, seqs(body), body["more_before"]) == (200, [2], True)
    status, body = ann.get(f"/rooms/{room}/messages", limit=2, before=2)
    assert (status, seqs(body), body["more_before"]) == (200, [1], False)
