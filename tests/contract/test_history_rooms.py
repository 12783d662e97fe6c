"""The contract of a history: rooms, members and unread counts, in memory, on SQLite and on PostgreSQL."""

import time

import pytest

from chat.identity.names import name_key
from chat.store.history import (
    ADMIN,
    DIRECT,
    MEMBER,
    OWNER,
    PRIVATE,
    PUBLIC,
    BadRoomName,
    Membership,
    RoomTaken,
)
from chat.store.models import now_ms
from chat.store.users import Users
from chat.wire.envelope import Identity
from tests.contract.drafts import ADA, BOB, CY, HISTORIES, LOW_BOB, ORIGIN, append_texts, direct, draft
from tests.contract.threads import at_once, run

pytestmark = [pytest.mark.contract, pytest.mark.parametrize("backend", HISTORIES, indirect=True)]


# Rooms


def test_a_public_room(history):
    room = history.create_room("Käse", PUBLIC, ADA, topic="cheese")
    assert history.room("Käse") == room
    assert (room.name, room.title, room.topic, room.kind, room.ephemeral) == (
        "Käse",
        "Käse",
        "cheese",
        PUBLIC,
        False,
    )
    assert (room.first_seq, room.last_seq, room.created_by, len(room.epoch)) == (1, 0, "1", 8)
    assert room.created_at == room.last_at
    assert history.members(room.id, None, 10) == [
        Membership(ADA, OWNER, 0, history.members(room.id, None, 1)[0][3])
    ]


def test_a_private_room_is_named_at_random(history):
    one, other = (history.create_room("Plans", PRIVATE, ADA) for _ in range(2))
    assert one.title == other.title == "Plans"
    assert one.name != other.name and "plans" not in one.name.casefold()
    assert history.role(one.id, "1") == OWNER


@pytest.mark.parametrize("name", ["News", "NEWS", "Ｎｅｗｓ", "dm:1:2", "DM:x"])
def test_a_name_is_taken(history, name):
    history.create_room("News", PUBLIC, ADA)
    with pytest.raises(RoomTaken):
        history.create_room(name, PUBLIC, BOB)
    assert history.rooms_of("2") == []


@pytest.mark.parametrize("name", ["", "a/b", "a\nb", " a", "a" * 65, "..", "a\ud800"])
def test_a_name_is_refused(history, name):
    with pytest.raises(BadRoomName):
        history.ensure_room(name)
    with pytest.raises(BadRoomName):
        history.create_room(name, PUBLIC, ADA)
    with pytest.raises(BadRoomName):
        history.create_room("News", PRIVATE, ADA, name=name)


def test_direct_rooms_cannot_be_created_explicitly(history):
    with pytest.raises(ValueError, match="direct"):
        history.create_room("x", DIRECT, ADA)


def test_one_of_several_concurrent_calls_gets_the_name(history, another):
    stores = (history, another) * 3
    results = at_once(*(lambda store=store: store.create_room("news", PUBLIC, ADA) for store in stores))
    assert sorted(type(result).__name__ for result in results) == ["RoomRow"] + ["RoomTaken"] * 5


def test_ensure_room(history, another):
    made = at_once(*(lambda store=store: store.ensure_room("Hall") for store in (history, another) * 3))
    assert set(made) == {history.room("Hall")}
    with pytest.raises(RoomTaken):
        history.ensure_room("hall")


def test_rooms_named(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    assert history.rooms_named(["other", "nowhere", "lobby", "LOBBY"]) == {"other": other, "lobby": lobby}
    assert history.rooms_named([]) == {} and history.room("nowhere") is None


def test_many_rooms_named(history, lobby):
    assert history.rooms_named([f"room{n}" for n in range(40_000)] + ["lobby"]) == {"lobby": lobby}


def test_update_a_room(history):
    public, private = history.create_room("a", PUBLIC, ADA), history.create_room("b", PRIVATE, ADA)
    assert history.update_room(public.id, title="x", topic="y") == public._replace(topic="y")
    assert (
        history.update_room(private.id, title="x")
        == private._replace(title="x")
        == history.room(private.name)
    )
    assert history.update_room(private.id) == private._replace(title="x")
    assert history.update_room(999, topic="y") is None


def test_the_directory(history):
    for name in ("Zebra", "apple", "Äpfel", "Pineapple", "100%", "a_b"):
        history.create_room(name, PUBLIC, ADA)
    history.create_room("Apple pie", PRIVATE, ADA)
    history.append([direct("bob")], ORIGIN)

    def names(query, after=None, limit=100):
        return [row.name for row in history.directory(query, after, limit)]

    everything = ["100%", "a_b", "apple", "lobby", "Pineapple", "Zebra", "Äpfel"]
    assert names("") == everything
    assert names("APPLE") == ["apple", "Pineapple"]
    assert names("%") == ["100%"] and names("_") == ["a_b"]
    assert names("", None, 3) + names("", "APPLE", 3) + names("", "Zebra", 3) == everything
    assert names("nothing") == []


def test_rooms_created_are_counted(history):
    history.create_room("a", PUBLIC, ADA)
    history.create_room("b", PRIVATE, ADA)
    assert (history.count_created("1"), history.count_created("2")) == (2, 0)


# Members


def test_join_and_leave(history, lobby):
    append_texts(history, "a", "b")
    assert history.role(lobby.id, "2") is None
    assert history.join(lobby.id, BOB)
    assert not history.join(lobby.id, BOB, ADMIN)
    assert history.role(lobby.id, "2") == MEMBER
    (member,) = history.members(lobby.id, None, 10)
    assert member[:3] == (BOB, MEMBER, 2) and abs(member.joined_at - now_ms()) < 10_000
    assert history.leave(lobby.id, "2") and not history.leave(lobby.id, "2")
    assert history.role(lobby.id, "2") is None and history.members(lobby.id, None, 10) == []


def test_an_unknown_room_cannot_be_joined(history):
    assert not history.join(999, ADA)
    assert history.members(999, None, 10) == [] and history.mark_read(999, "1", 1) is None


def test_concurrent_joins(history, another, lobby):
    joins = at_once(*(lambda store=store: store.join(lobby.id, ADA) for store in (history, another) * 3))
    assert sorted(joins) == [False] * 5 + [True]


def test_roles(history, lobby):
    room = history.create_room("r", PUBLIC, ADA)
    history.join(room.id, BOB, ADMIN)
    history.join(lobby.id, BOB)
    pairs = [(room.id, "1"), (room.id, "2"), (lobby.id, "2"), (lobby.id, "1"), (999, "1")]
    assert history.roles(pairs) == {(room.id, "1"): OWNER, (room.id, "2"): ADMIN, (lobby.id, "2"): MEMBER}
    assert history.roles([]) == {}
    assert history.set_role(room.id, "2", MEMBER) and history.role(room.id, "2") == MEMBER
    assert not history.set_role(room.id, "3", ADMIN)


def test_members_are_ordered_by_name(history, lobby):
    names = ["bob", "Ada", "eve", "Cyd", "Émile", "dan"]
    for number, name in enumerate(names):
        history.join(lobby.id, Identity(f"m{number}", name))
    order = ["Ada", "bob", "Cyd", "dan", "eve", "Émile"]

    def page(after, limit):
        return [member.user.username for member in history.members(lobby.id, after, limit)]

    assert page(None, 100) == order == sorted(names, key=name_key)
    assert page(None, 2) + page("BOB", 2) + page("dan", 2) == order


def test_members_of_one_name_are_told_apart_by_id(history, lobby):
    for id, name in (("1", "Bob"), ("2", "bob"), ("3", "BOB"), ("4", "Cyd")):
        history.join(lobby.id, Identity(id, name))

    def page(after, after_id=None):
        return [member.user.id for member in history.members(lobby.id, after, 2, after_id)]

    assert (page(None), page("bob", "2"), page("bob"), page("Cyd", "4")) == (
        ["1", "2"],
        ["3", "4"],
        ["4"],
        [],
    )


def test_rooms_of_a_user(history):
    room = history.create_room("r", PUBLIC, ADA)
    history.create_room("not mine", PUBLIC, BOB)
    history.join(history.room("lobby").id, ADA)
    append_texts(history, "written in the lobby")
    time.sleep(0.002)
    history.append([direct("bob", "hi")], ORIGIN)
    time.sleep(0.002)
    (last,) = append_texts(history, "newest", room="r", sender=BOB)
    first, second, third = history.rooms_of("1")
    assert first == (history.room("r"), OWNER, 0, 1, 0, None, last)
    assert (second.room.name, second.peer, second.unread, second.last.data) == (
        "dm:1:2",
        BOB,
        0,
        "hi",
    )  # her own
    assert (third.room.name, third.last.data) == ("lobby", "written in the lobby")
    assert (third.read_seq, third.unread) == (1, 0)  # likewise
    assert room.id == first.room.id and history.rooms_of("9") == []


def test_an_empty_rooms_last_message(history):
    history.create_room("r", PUBLIC, ADA)
    (mine,) = history.rooms_of("1")
    assert mine.last is None and mine.unread == 0


def test_unread_counts(history, lobby):
    append_texts(history, "before")
    history.join(lobby.id, BOB)
    assert history.unread("2") == {}
    append_texts(history, "a", "b @bob", "c", "d @Bob!")
    assert history.unread("2") == {"lobby": (4, 2)}
    assert history.mark_read(lobby.id, "2", 3) == (3, 2, 1)
    assert history.mark_read(lobby.id, "2", 2) == (3, 2, 1)
    assert history.unread("2") == {"lobby": (2, 1)}
    assert history.mark_read(lobby.id, "2", 99) == (5, 0, 0)
    assert history.unread("2") == {}
    assert history.rooms_of("2")[0][2:5] == (5, 0, 0)
    append_texts(history, "e")
    assert history.unread("2") == {"lobby": (1, 0)}
    assert history.mark_read(lobby.id, "3", 1) is None


def test_what_a_member_sent_after_reading_is_read(history, lobby):
    history.join(lobby.id, BOB)
    append_texts(history, "a")
    history.mark_read(lobby.id, "2", 1)
    append_texts(history, "b", "c", sender=BOB)
    assert history.unread("2") == {}
    assert history.rooms_of("2")[0][2:5] == (3, 0, 0)
    append_texts(history, "d")
    append_texts(history, "e", sender=BOB)
    assert history.unread("2") == {"lobby": (2, 0)}, "what came before an own message may not have been seen"
    assert history.rooms_of("2")[0][2:5] == (3, 2, 0)
    assert history.mark_read(lobby.id, "2", 2) == (3, 2, 0)
    assert history.mark_read(lobby.id, "2", 4) == (5, 0, 0)


# Mentions


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("@ada", "1"),
        ("@ADA, are you there?", "1"),
        ("hi @ada and @bob: look, @Ada", "12"),
        ("你好@ada你好", "1"),
        ("@小明你好", "4"),
        ("问@小明", "4"),
        ("@Mary Jane Watson is here", "6"),
        ("@Mary Jan", "5"),
        ("@mary\njane watson", "5"),
        ("@ada@bob", "1"),
        ("@@ada", "1"),
        ("(@ada)", "1"),
        ("@adam", ""),
        ("@ada1", ""),
        ("mail ada@bob.example", ""),
        ("@", ""),
        ("@ ada", ""),
        ("@nobody", ""),
        ("ada", ""),
    ],
)
def test_mentioned_users(backend, request, history, lobby, text, named):
    more = [Identity("4", "小明"), Identity("5", "Mary"), Identity("6", "Mary Jane Watson")]
    for user in more:
        if backend == "memory":
            history.add_user(user)
        else:
            Users(request.getfixturevalue("engine"), run).ensure(user)
    everyone = [ADA, BOB, CY, *more]
    for user in everyone:
        history.join(lobby.id, user)
    append_texts(history, "nobody", text, sender=None)
    assert "".join(user.id for user in everyone if history.unread(user.id)["lobby"][1]) == named


def test_a_name_of_several_users_mentions_all_of_them(history, lobby, add_user):
    add_user(LOW_BOB)
    for user in (BOB, LOW_BOB, CY):
        history.join(lobby.id, user)
    append_texts(history, "@BOB: which of you?")
    assert [history.unread(user.id)["lobby"][1] for user in (BOB, LOW_BOB, CY)] == [1, 1, 0]


def test_a_repeat_mentions_nobody_again(history, lobby):
    history.join(lobby.id, BOB)
    for _ in range(2):
        history.append([draft("@bob", id="x")], ORIGIN)
    assert history.unread("2") == {"lobby": (1, 1)}


def test_a_flood_of_mentions_is_bounded(history, lobby):
    history.join(lobby.id, BOB)
    begun = time.monotonic()
    history.append([draft("@a b c d e f g h i j k l " * 40) for _ in range(300)], ORIGIN)
    assert time.monotonic() - begun < 10
    append_texts(history, "@x " * 19 + "@bob")
    assert history.unread("2")["lobby"][1] == 1


def test_names_that_cannot_be_stored_match_nothing(history, lobby):
    for bad in ("a\x00b", "\ud800"):
        assert history.room(bad) is None and history.rooms_named([bad, "lobby"]) == {"lobby": lobby}
        assert history.role(lobby.id, bad) is None and not history.set_role(lobby.id, bad, ADMIN)
        assert not history.leave(lobby.id, bad) and history.mark_read(lobby.id, bad, 1) is None
        assert history.rooms_of(bad) == [] and history.unread(bad) == {} and history.count_created(bad) == 0
        assert history.directory(bad, None, 10) == [] and history.members(lobby.id, bad, 10) == []
