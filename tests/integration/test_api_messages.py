"""Messages by the JSON API: history in all directions, conversations of two, search, and what is unread."""

import json

import pytest

from chat.store.history import Draft
from chat.wire.envelope import Identity
from tests.integration.api_users import ApiUser, code, make_site, new, part


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return make_site(tmp_path_factory)


@pytest.fixture
def ann(site):
    return ApiUser(site, "ann")


@pytest.fixture
def bob(site):
    return ApiUser(site, "bob")


@pytest.fixture
def eve(site):
    return ApiUser(site, "eve")


@pytest.fixture
def tea(ann):
    """A public room of ann's."""
    return ann.make(new("tea"))


# -- history


@pytest.fixture
def long(bob, tea):
    """The messages of a room in which bob said "1" to "25"."""
    bob.say(tea, *map(str, range(1, 26)))
    return f"/rooms/{tea}/messages"


def seqs(answer):
    status, body = answer
    assert status == 200, body
    assert [message["data"] for message in body["messages"]] == [str(m["seq"]) for m in body["messages"]]
    return [message["seq"] for message in body["messages"]]


def span(first, last):
    return list(range(first, last + 1))


def test_a_message_is_shown_as_on_the_wire(ann, bob, tea, long):
    message = ann.get(long, limit=1)[1]["messages"][0]
    assert message.pop("id") and message.pop("ts") > 1_600_000_000_000
    assert message == {"type": 2, "user": bob.shown, "data": "25", "room": tea, "seq": 25}


def test_a_message_of_the_site_has_no_user(ann, tea):
    ann.chat.history.append([Draft(2, tea, None, "h1", False, "hear, hear")], 1)
    assert ann.get(f"/rooms/{tea}/messages")[1]["messages"][0]["user"] is None


def test_history_is_read_backwards_without_overlap_or_gap(ann, long):
    pages, before = [], {}
    while True:
        status, body = ann.get(long, limit=10, **before)
        pages.append(seqs((status, body)))
        assert (body["first_seq"], body["last_seq"]) == (1, 25)
        assert body["more_after"] == bool(before)
        if not body["more_before"]:
            break
        before = {"before": pages[-1][0]}
    assert pages == [span(16, 25), span(6, 15), span(1, 5)]


def test_history_is_read_forwards_without_overlap_or_gap(ann, long):
    pages, after = [], 0
    while True:
        status, body = ann.get(long, limit=10, after=after)
        pages.append(seqs((status, body)))
        assert body["more_before"] == (after > 0)
        if not body["more_after"]:
            break
        after = pages[-1][-1]
    assert pages == [span(1, 10), span(11, 20), span(21, 25)]


@pytest.mark.parametrize(
    ("around", "limit", "expected", "more_before", "more_after"),
    [
        (13, 10, span(8, 17), True, True),
        (13, 9, span(9, 17), True, True),
        (13, 1, [13], True, True),
        (1, 10, span(1, 10), False, True),
        (3, 10, span(1, 10), False, True),
        (0, 10, span(1, 10), False, True),
        (25, 10, span(16, 25), True, False),
        (23, 10, span(16, 25), True, False),
        (99, 10, span(16, 25), True, False),
        (13, 200, span(1, 25), False, False),
    ],
)
def test_history_around_a_message(ann, long, around, limit, expected, more_before, more_after):
    status, body = ann.get(long, around=around, limit=limit)
    assert seqs((status, body)) == expected
    assert (body["more_before"], body["more_after"]) == (more_before, more_after)


@pytest.mark.parametrize(
    ("query", "more_before", "more_after"),
    [
        ({"before": 1}, False, True),
        ({"before": 0}, False, True),
        ({"after": 25}, True, False),
        ({"after": 2**53 - 1}, True, False),
    ],
)
def test_a_page_beyond_either_end_is_empty_with_a_link_back(ann, long, query, more_before, more_after):
    status, body = ann.get(long, **query)
    assert seqs((status, body)) == []
    assert (body["more_before"], body["more_after"]) == (more_before, more_after)


@pytest.mark.parametrize(
    "query", [{}, {"before": 0}, {"before": 5}, {"after": 0}, {"after": 5}, {"around": 5}]
)
def test_an_empty_room_has_no_more_in_any_direction(ann, tea, query):
    body = ann.get(f"/rooms/{tea}/messages", **query)[1]
    assert (body["messages"], body["more_before"], body["more_after"]) == ([], False, False)


def test_pruned_messages_are_not_announced(ann, tea, long):
    history = ann.chat.history
    room = history.room(tea)
    history.prune(room.id, history.find(room.id, 25).ts + 1000)
    for query in ({}, {"before": 3}, {"before": 99}, {"after": 3}, {"around": 3}):
        body = ann.get(long, **query)[1]
        assert (body["messages"], body["first_seq"], body["last_seq"]) == ([], 26, 25)
        assert (body["more_before"], body["more_after"]) == (False, False)


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("limit=0", "bad_limit"),
        ("limit=201", "bad_limit"),
        ("limit=", "bad_limit"),
        ("limit=-1", "bad_limit"),
        ("limit=٣", "bad_limit"),
        ("limit=1e2", "bad_limit"),
        ("before=x", "bad_seq"),
        ("before=-1", "bad_seq"),
        ("after=", "bad_seq"),
        ("around=1.5", "bad_seq"),
        ("around=99999999999999999999999", "bad_seq"),
        ("before=9007199254740992", "bad_seq"),
        ("before=5&after=1", "bad_range"),
        ("after=1&around=1", "bad_range"),
    ],
)
def test_a_page_that_cannot_be_asked_for(ann, long, query, what):
    assert code(ann.get(f"{long}?{query}")) == (400, what)


def test_a_public_room_is_read_before_it_is_joined(eve, tea, long):
    assert seqs(eve.get(long, limit=3)) == [23, 24, 25]
    assert eve.get(f"/rooms/{tea}")[1]["last"]["seq"] == 25


# -- search


@pytest.fixture
def library(ann, bob, tea):
    """What the users said in two rooms, and one to another."""
    news = bob.make(new("news"))
    ann.join(news)
    ann.say(
        tea,
        "Green tea",
        "今天天气很好",
        "我们明天去北京大学图书馆",
        "green, not black",
        "Café 喝茶",
        "teapots",
    )
    bob.say(news, "tea for two", "北京的天气")
    ann.write(bob, "green between us")
    return news


def found(person, **query):
    status, body = person.get("/search", **query)
    assert status == 200, body
    return [message["data"] for message in body["messages"]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("green", ["green between us", "green, not black", "Green tea"]),
        ("GREEN tea", ["Green tea"]),
        ("cafe", ["Café 喝茶"]),
        ("天气", ["北京的天气", "今天天气很好"]),
        ("北京大学", ["我们明天去北京大学图书馆"]),
        ("茶", ["Café 喝茶"]),
        ("京北", []),
        ("图书馆 明天", ["我们明天去北京大学图书馆"]),
        ("te", ["tea for two", "teapots", "Green tea"]),
        ("no such", []),
        ('"', []),
        ("* OR NOT (", []),
        ("%_'--;", []),
    ],
)
def test_search_finds_words_in_all_of_a_users_rooms(ann, library, text, expected):
    assert found(ann, q=text) == expected


def test_search_in_one_room_finds_nothing_of_other_rooms(ann, bob, eve, tea, library):
    assert found(ann, q="tea", room=library) == ["tea for two"]
    assert found(eve, q="green") == []
    assert found(eve, q="green", room=tea) == ["green, not black", "Green tea"]  # a public room is open
    conversation = ann.get(f"/users/{bob.name}")[1]["room"]
    assert found(bob, q="green", room=conversation) == ["green between us"]


def test_search_continues_where_its_page_ended(ann, tea):
    ann.say(tea, *(f"word {number}" for number in range(25)))
    texts, before = [], {}
    for count in (10, 10, 5):
        status, body = ann.get("/search", q="word", limit=10, **before)
        assert status == 200
        texts += [message["data"] for message in body["messages"]]
        assert len(body["messages"]) == count
        before = {"before": body["next"]}
    assert body["next"] is None
    assert texts == [f"word {number}" for number in reversed(range(25))]


@pytest.mark.parametrize(
    ("query", "what"),
    [
        ("", "bad_query"),
        ("q=", "bad_query"),
        ("q=%20%E3%80%80", "bad_query"),
        ("q=" + "x" * 101, "bad_query"),
        ("q=a%00b", "bad_query"),
        ("q=tea&before=x", "bad_cursor"),
        ("q=tea&before=1000000000000000", "bad_cursor"),
        ("q=tea&limit=0", "bad_limit"),
    ],
)
def test_invalid_searches_are_refused(ann, query, what):
    assert code(ann.get(f"/search?{query}")) == (400, what)


# -- what is unread


def test_unread_messages_and_mentions_are_counted_until_they_are_read(ann, bob, tea):
    bob.join(tea)
    assert bob.get("/unread") == (200, {"rooms": {}, "total": 0})
    ann.say(tea, "one", f"two, @{bob.name}!", f"three @{bob.name.upper()} and @{ann.name}", "four")
    ann.say("lobby", "five")
    assert bob.get("/unread") == (
        200,
        {"rooms": {tea: {"unread": 4, "mentions": 2}, "lobby": {"unread": 1, "mentions": 0}}, "total": 5},
    )
    assert (bob.rooms()[tea]["unread"], bob.rooms()[tea]["mentions"]) == (4, 2)
    assert bob.post(f"/rooms/{tea}/read", {"seq": 2}) == (200, {"seq": 2, "unread": 2, "mentions": 1})
    assert bob.post(f"/rooms/{tea}/read", {"seq": 4}) == (200, {"seq": 4, "unread": 0, "mentions": 0})
    assert bob.get("/unread")[1] == {"rooms": {"lobby": {"unread": 1, "mentions": 0}}, "total": 1}


def test_the_read_position_never_goes_back(ann, bob, tea):
    bob.join(tea)
    ann.say(tea, "1", "2", "3")
    there = f"/rooms/{tea}/read"
    assert bob.post(there, {"seq": 2})[1]["seq"] == 2
    assert bob.post(there, {"seq": 1}) == (200, {"seq": 2, "unread": 1, "mentions": 0})
    assert bob.post(there, {"seq": 0})[1]["seq"] == 2
    assert bob.post(there, {"seq": 2.0})[1]["seq"] == 2  # JSON has one kind of number
    assert bob.post(there, {"seq": 2**53 - 1})[1] == {"seq": 3, "unread": 0, "mentions": 0}
    assert bob.rooms()[tea]["read_seq"] == 3


@pytest.mark.parametrize("seq", [None, -1, 1.5, "2", True, [], 2**53, 2**70])
def test_an_invalid_seq_is_refused(ann, seq):
    body = json.dumps({"seq": seq})
    answer = ann.ask("POST", "/rooms/lobby/read", data=body, content_type="application/json")
    assert (answer.status_code, answer.get_json()["code"]) in [(400, "bad_seq"), (400, "bad_json")]


def test_only_members_have_a_read_position(bob, tea):
    assert code(bob.post(f"/rooms/{tea}/read", {"seq": 1})) == (403, "not_joined")


# -- people, and conversations of two


def test_a_user_is_found_by_name(ann, bob):
    low, high = sorted([ann.id, bob.id])
    assert ann.get(f"/users/{bob.name.title()}") == (200, {**bob.shown, "room": f"dm:{low}:{high}"})
    assert bob.get(f"/users/{ann.name}")[1]["room"] == f"dm:{low}:{high}"
    for name in ("nobody", "\x00", "x" * 9000, "%"):
        assert code(ann.get(f"/users/{part(name)}")) == (404, "unknown_user")


def test_a_name_that_fits_several_users_is_answered_with_them(site, ann):
    name = new("Bob")
    high, low = Identity(f"s-{name}", name), Identity(f"t-{name}", name.lower())
    for user in (high, low):
        site.extensions["chat"].users.ensure(user)
    assert [ann.get(f"/users/{one.username}")[1]["id"] for one in (high, low)] == [high.id, low.id]
    status, answer = ann.get(f"/users/{name.upper()}")
    assert (status, answer["code"]) == (409, "ambiguous_to")
    assert answer["users"] == [user._asdict() for user in (high, low)]


def test_a_conversation_without_messages_reads_as_empty(ann, bob):
    name = ann.get(f"/users/{bob.name}")[1]["room"]
    address = f"/rooms/{part(name)}"
    status, room = ann.get(address)
    assert (status, room["kind"], room["epoch"], room["last_seq"]) == (200, "direct", "", 0)
    assert (room["peer"], room["last"], room["unread"]) == (bob.shown, None, 0)
    assert ann.post(f"{address}/join") == (200, room)
    nothing = {"messages": [], "first_seq": 1, "last_seq": 0, "epoch": "", "more_before": False}
    assert ann.get(f"{address}/messages") == (200, nothing | {"more_after": False})
    assert ann.names(f"{address}/members", "members") == [ann.name, bob.name]
    assert ann.post(f"{address}/read", {"seq": 3}) == (200, {"seq": 0, "unread": 0, "mentions": 0})
    assert ann.get("/search", q="hello", room=name)[1]["messages"] == []
    assert name not in ann.rooms()


def test_a_conversation_keeps_messages_for_a_disconnected_user(ann, bob):
    conversation = ann.write(bob, "hello", f"@{bob.name}?")
    room = bob.rooms()[conversation]
    assert (room["kind"], room["role"], room["peer"]) == ("direct", "member", ann.shown)
    assert (room["unread"], room["mentions"]) == (2, 1)
    assert (room["last"]["type"], room["last"]["to"]) == (3, bob.name)
    address = f"/rooms/{part(conversation)}"
    messages = bob.get(f"{address}/messages")[1]["messages"]
    assert [message["data"] for message in messages] == ["hello", f"@{bob.name}?"]
    assert bob.names(f"{address}/members", "members") == [ann.name, bob.name]
    assert bob.post(f"{address}/read", {"seq": 2})[1]["unread"] == 0


def test_a_conversation_with_oneself_names_oneself_as_the_peer(ann):
    room = ann.get(f"/users/{ann.name}")[1]["room"]
    assert ann.get(f"/rooms/{part(room)}")[1]["peer"] == ann.shown
    assert ann.names(f"/rooms/{part(room)}/members", "members") == [ann.name]
    ann.write(ann, "note")
    assert ann.rooms()[room]["peer"] == ann.shown


def test_a_direct_message_of_the_site_is_for_its_receiver_alone(ann, eve):
    ann.chat.history.append([Draft(3, None, None, new("h"), False, "hello", ann.name, ann.id)], 1)
    (room,) = (room for room in ann.rooms().values() if room["kind"] == "direct")
    assert (room["peer"], room["unread"], room["last"]["user"]) == (None, 1, None)
    assert ann.get(f"/rooms/{part(room['name'])}/messages")[1]["messages"][0]["data"] == "hello"
    assert code(eve.get(f"/rooms/{part(room['name'])}/messages")) == (404, "unknown_room")
