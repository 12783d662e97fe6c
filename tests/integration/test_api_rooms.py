"""Rooms by the JSON API: making, finding, joining and changing them; and those that one must not know of."""

import pytest

from tests.integration.api_users import FORBIDDEN, ApiUser, code, make_site, new, part

#: Names that addresses, databases and patterns find hard.
HARD_NAMES = [
    "茶馆",
    "🎉 party",
    'say "hi"',
    "100%",
    "a%2Fb",
    "it's",
    "what?",
    "#1",
    "a&b=c",
    "c++",
    "%",
    "_",
    "a\\b",
]


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


# -- making rooms


def test_a_new_user_is_in_the_lobby_with_nothing_unread(ann, bob):
    bob.say("lobby", "one", "two")
    status, body = ann.get("/rooms")
    assert status == 200
    (lobby,) = body["rooms"]
    last = lobby.pop("last")
    assert (last["data"], last["user"]) == ("two", bob.shown)
    assert lobby.pop("epoch")
    assert lobby.pop("last_at") == last["ts"]
    assert lobby.pop("last_seq") == lobby.pop("read_seq") == last["seq"] >= 2
    assert lobby == {
        "name": "lobby",
        "title": "lobby",
        "topic": "",
        "kind": "public",
        "ephemeral": False,
        "first_seq": 1,
        "role": "member",
        "unread": 0,
        "mentions": 0,
        "peer": None,
    }


def test_a_public_room_is_created_found_and_joined(ann, bob):
    status, made = ann.post(
        "/rooms", {"title": " Tea  house ", "kind": "public", "topic": "Green\tand black"}
    )
    assert status == 201
    assert (made["name"], made["title"], made["topic"]) == ("Tea house", "Tea house", "Green and black")
    assert (made["role"], made["last_seq"], made["unread"], made["last"]) == ("owner", 0, 0, None)
    assert ann.get("/rooms/Tea%20house") == (200, made)

    assert bob.get("/rooms/Tea%20house")[1]["role"] is None
    assert joined(bob, "lobby") and not joined(bob, "Tea house")
    assert "Tea house" not in bob.rooms()
    for _ in range(2):  # once more changes nothing
        status, room = bob.post("/rooms/Tea%20house/join")
        assert (status, room["role"]) == (200, "member")
    assert "Tea house" in bob.rooms()
    assert joined(bob, "Tea house")


def joined(person, name):
    """Whether the directory says that the person is in that room."""
    (room,) = person.get("/directory", q=name)[1]["rooms"]
    return room["joined"]


@pytest.mark.parametrize("name", HARD_NAMES)
def test_valid_room_titles(ann, bob, name):
    name = new(name)
    assert ann.make(name) == name
    address = f"/rooms/{part(name)}"
    assert ann.get(address)[1]["name"] == name
    bob.join(name)
    bob.say(name, "hello")
    assert [m["room"] for m in ann.get(f"{address}/messages")[1]["messages"]] == [name]
    assert ann.get("/search", q="hello", room=name)[1]["messages"][0]["data"] == "hello"
    assert bob.post(f"{address}/read", {"seq": 1})[0] == 200
    assert bob.names(f"{address}/members", "members") == [ann.name, bob.name]
    assert name in ann.names("/directory", "rooms", q=name)
    assert bob.post(f"{address}/leave") == (204, None)


def test_pattern_characters_in_a_query_are_literal(ann):
    mine = new("pattern")
    for title in ("50% off", "500 off", "50_off", "50xoff"):
        ann.make(f"{mine} {title}")
    assert ann.names("/directory", "rooms", q=f"{mine} 50%") == [f"{mine} 50% off"]
    assert ann.names("/directory", "rooms", q=f"{mine} 50_") == [f"{mine} 50_off"]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({}, "bad_kind"),
        ({"title": "tea"}, "bad_kind"),
        ({"title": "tea", "kind": "direct"}, "bad_kind"),
        ({"title": "tea", "kind": ["public"]}, "bad_kind"),
        ({"kind": "public"}, "bad_title"),
        ({"title": 5, "kind": "public"}, "bad_title"),
        ({"title": "", "kind": "public"}, "bad_title"),
        ({"title": " \t\u3000", "kind": "private"}, "bad_title"),
        ({"title": "x" * 65, "kind": "private"}, "bad_title"),
        ({"title": "x" * 1000, "kind": "private"}, "bad_title"),
        ({"title": "a\u0000b", "kind": "private"}, "bad_title"),
        ({"title": "a\u202eb", "kind": "public"}, "bad_title"),
        ({"title": "a/b", "kind": "public"}, "bad_title"),
        ({"title": ".", "kind": "public"}, "bad_title"),
        ({"title": "..", "kind": "public"}, "bad_title"),
        ({"title": "dm:a:b", "kind": "public"}, "bad_title"),
        ({"title": "ＤＭ：a:b", "kind": "public"}, "bad_title"),
        ({"title": "P-secret", "kind": "public"}, "bad_title"),
        ({"title": "tea", "kind": "public", "topic": "x" * 251}, "bad_topic"),
        ({"title": "tea", "kind": "public", "topic": None}, "bad_topic"),
        ({"title": "tea", "kind": "public", "topic": "a\u0007"}, "bad_topic"),
        ({"title": "tea", "kind": "public", "ephemeral": 1}, "bad_flag"),
    ],
)
def test_invalid_rooms_are_refused(ann, fields, what):
    assert code(ann.post("/rooms", fields)) == (400, what)
    assert list(ann.rooms()) == ["lobby"]


def test_the_longest_title_and_topic_are_accepted(ann):
    room = ann.make("茶" * 64, topic="👨‍👩‍👧" + "茶" * 245)
    assert len(ann.rooms()[room]["topic"]) == 250


@pytest.mark.parametrize("write", [str, str.upper, "\u3000{}  ".format, lambda title: f"ｔ{title[1:]}"])
def test_public_names_are_unique(bob, tea, write):
    assert code(bob.post("/rooms", {"title": write(tea), "kind": "public"})) == (409, "room_taken")
    assert code(bob.post("/rooms", {"title": write(tea), "kind": "private"})) == (409, "room_taken")


def test_a_site_may_limit_the_rooms_of_a_user(tmp_path_factory):
    site = make_site(tmp_path_factory, CHAT_MAX_ROOMS_CREATED=2)
    ann, bob = ApiUser(site, "ann"), ApiUser(site, "bob")
    for title in ("one", "two"):
        ann.make(title)
    ann.post("/rooms/one/leave")  # leaving gives no other in exchange
    assert code(ann.post("/rooms", {"title": "three", "kind": "private"})) == (403, "too_many_rooms")
    assert bob.make("three")


def test_a_site_may_forbid_users_to_create_rooms(tmp_path_factory):
    ann = ApiUser(make_site(tmp_path_factory, CHAT_CREATE_ROOMS=False), "ann")
    assert code(ann.post("/rooms", {"title": "tea", "kind": "public"})) == (403, "rooms_closed")


def test_an_ephemeral_room_is_marked_as_such(tmp_path_factory):
    ann = ApiUser(make_site(tmp_path_factory, CHAT_EPHEMERAL_ROOMS="typing-*"), "ann")
    ann.make("typing-1")
    ann.make("cursors", ephemeral=True)
    ann.make("tea")
    assert {name: room["ephemeral"] for name, room in ann.rooms().items()} == {
        "lobby": False,
        "tea": False,
        "typing-1": True,
        "cursors": True,
    }


# -- private rooms


def test_a_private_rooms_name_is_random_and_its_title_is_for_members(ann, bob):
    name = ann.make("秘密 plan/2", "private")
    assert name.startswith("p-") and len(name) > 12
    assert ann.rooms()[name]["title"] == "秘密 plan/2"
    assert bob.make("秘密 plan/2", "private") != name
    assert bob.names("/directory", "rooms", q="plan/") == []


#: Every way to ask about one room.
QUESTIONS = [
    ("GET", "", None),
    ("PATCH", "", {"topic": "x"}),
    ("PATCH", "", {}),
    ("POST", "/join", None),
    ("POST", "/leave", None),
    ("GET", "/members", None),
    ("POST", "/members", {"username": "eve"}),
    ("POST", "/members", {"username": "nobody", "role": "king"}),
    ("PATCH", "/members/{eve}", {"role": "owner"}),
    ("PATCH", "/members/{ann}", {"role": "member"}),
    ("DELETE", "/members/{eve}", None),
    ("DELETE", "/members/{ann}", None),
    ("GET", "/messages", None),
    ("GET", "/messages?before=1&limit=0", None),
    ("GET", "/messages?around=1", None),
    ("POST", "/read", {"seq": 1}),
    ("POST", "/read", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), QUESTIONS)
def test_a_private_room_or_conversation_of_other_users_looks_unknown(ann, bob, eve, method, path, body):
    private = ann.make("plan", "private")
    ann.say(private, "secret")
    conversation = ann.write(bob, "secret")
    assert bob.get(f"/rooms/{part(conversation)}")[0] == 200
    path = path.format(eve=part(eve.id), ann=part(ann.id))
    rooms = ["p-nobodymadeit", private, conversation, "dm:a:b", "dm::", "dm:", "nowhere", "\x00", "x" * 9000]
    answers = [eve.ask(method, f"/rooms/{part(room)}{path}", body) for room in rooms]
    assert {(answer.status_code, answer.data) for answer in answers} == {
        (404, b'{"error":"This room doesn\'t exist, or you don\'t have access to it.","code":"unknown_room"}')
    }
    assert len({tuple(answer.headers.items()) for answer in answers}) == 1


def test_search_does_not_reveal_private_rooms(ann, bob, eve):
    private = ann.make("plan", "private")
    ann.say(private, "secret word")
    ann.write(bob, "secret line")
    unknown = eve.ask("GET", "/search?q=secret&room=nowhere")
    assert eve.ask("GET", f"/search?q=secret&room={private}").data == unknown.data
    assert unknown.status_code == 404
    assert eve.get("/search", q="secret") == (200, {"messages": [], "next": None})
    assert eve.get("/unread") == (200, {"rooms": {}, "total": 0})
    assert list(eve.rooms()) == ["lobby"]


def test_a_removed_member_cannot_see_the_private_room(ann, bob):
    room = ann.make("plan", "private")
    place = ann.add(room, bob)
    assert bob.get(f"/rooms/{room}/messages")[0] == 200
    assert ann.delete(place) == (204, None)
    assert code(bob.get(f"/rooms/{room}/messages")) == (404, "unknown_room")
    assert room not in bob.rooms()


# -- changing a room


def test_an_owner_changes_title_and_topic(ann, bob):
    room = ann.make("plan", "private")
    ann.add(room, bob)
    status, changed = ann.patch(f"/rooms/{room}", {"title": "计划", "topic": "2027"})
    assert (status, changed["name"], changed["title"], changed["topic"]) == (200, room, "计划", "2027")
    assert (bob.rooms()[room]["title"], bob.rooms()[room]["topic"]) == ("计划", "2027")
    assert ann.patch(f"/rooms/{room}", {"topic": ""})[1]["title"] == "计划"
    assert ann.patch(f"/rooms/{room}", {})[1]["topic"] == ""
    assert code(ann.patch(f"/rooms/{room}", {"title": ""})) == (400, "bad_title")
    assert code(ann.patch(f"/rooms/{room}", {"topic": 1})) == (400, "bad_topic")
    assert code(bob.patch(f"/rooms/{room}", {"topic": "mine"})) == FORBIDDEN


def test_a_public_room_keeps_its_name(ann, bob, tea):
    there = f"/rooms/{tea}"
    assert code(ann.patch(there, {"title": "coffee", "topic": "x"})) == (403, "fixed_title")
    assert ann.get(there)[1]["topic"] == ""
    assert ann.patch(there, {"title": tea, "topic": "green"})[1]["topic"] == "green"
    assert code(bob.patch(there, {"topic": "black"})) == FORBIDDEN
    assert code(ann.patch("/rooms/lobby", {"topic": "mine"})) == FORBIDDEN


# -- the directory


def test_the_directory_is_read_in_pages(ann, bob):
    mine = new("shelf")
    titles = [f"{mine} {number:02}" for number in range(12)]
    for title in titles:
        ann.make(title)
    ann.make(f"{mine} 99", "private")
    assert bob.names("/directory", "rooms", limit=5, q=mine) == titles
    assert bob.names("/directory", "rooms", limit=5, q=f"{mine} 1".upper()) == titles[10:]
    assert {"lobby", *titles} <= set(bob.names("/directory", "rooms"))
    assert bob.names("/directory", "rooms", q="no such") == []
