"""What every history does: the twin in memory, a SQLite file and a real PostgreSQL, all held to one contract."""

import time

import pytest

from chat.envelope import Identity
from chat.names import name_key
from chat.store.engine import make_engine
from chat.store.history import (
    ADMIN,
    DIRECT,
    MEMBER,
    OWNER,
    PRIVATE,
    PUBLIC,
    BadRoomName,
    Draft,
    Membership,
    RoomTaken,
    Stored,
)
from chat.store.memory import MemoryHistory
from chat.store.models import now_ms
from chat.store.sql import SqlHistory
from chat.store.users import Users
from tests.contract.threads import at_once, run

pytestmark = pytest.mark.contract

ADA, BOB, CY = Identity("1", "Ada"), Identity("2", "Bob"), Identity("3", "Cy")
ORIGIN = 77


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def backend(request):
    return request.param


@pytest.fixture
def history(request, backend):
    """A history with the lobby, and with Ada, Bob and Cy among its users."""
    if backend == "memory":
        history = MemoryHistory([ADA, BOB, CY])
        history.ensure_room("lobby")
        yield history
        return
    engine = request.getfixturevalue("engine")
    users, history = Users(engine, run), SqlHistory(engine, run)
    for user in (ADA, BOB, CY):
        users.ensure(user)
    yield history
    history.close()


@pytest.fixture
def another(request, backend, history):
    """The same history as another process has it."""
    if backend == "memory":
        yield history
        return
    engine = make_engine(request.getfixturevalue("url"))
    another = SqlHistory(engine, run)
    yield another
    another.close()
    engine.dispose()


@pytest.fixture
def lobby(history):
    return history.room("lobby")


class Ids:
    """Numbers the messages of one test."""

    def __init__(self):
        self.last = 0

    def __call__(self):
        self.last += 1
        return f"id{self.last:06}"


new_id = Ids()


def draft(data="hi", room="lobby", sender=ADA, id=None):
    return Draft(2, room, sender, id or new_id(), id is not None, data)


def direct(to, data="hi", sender=ADA, to_id=None, id=None):
    return Draft(3, None, sender, id or new_id(), id is not None, data, to, to_id)


def say(history, *texts, room="lobby", sender=ADA):
    """Append messages and return them as they are stored."""
    return [
        stored.message for stored in history.append([draft(text, room, sender) for text in texts], ORIGIN)
    ]


def texts(messages):
    return [message.data for message in messages]


def seqs(messages):
    return [message.seq for message in messages]


# Append


def test_a_message_is_stored_as_it_is_told(history, lobby):
    (stored,) = history.append([draft("你好 😀", id="x1")], ORIGIN)
    message = stored.message
    assert stored == Stored(message, True, None)
    assert message[1:9] == ("lobby", lobby.id, 1, 2, ADA, None, "x1", "你好 😀")
    assert message.origin == ORIGIN and abs(message.ts - now_ms()) < 10_000
    assert history.after(lobby.id, 0, 10) == [message]


def test_the_house_speaks_as_nobody(history, lobby):
    (message,) = say(history, "welcome", sender=None)
    assert message.user is None
    assert history.find(lobby.id, 1) == message


def test_seq_follows_the_order_of_the_drafts(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    stored = history.append([draft(str(n), "lobby" if n % 3 else "other") for n in range(9)], ORIGIN)
    assert [one.message.data for one in stored] == [str(n) for n in range(9)]
    assert texts(history.after(lobby.id, 0, 10)) == ["1", "2", "4", "5", "7", "8"]
    assert [(m.seq, m.data) for m in history.after(other.id, 0, 10)] == [(1, "0"), (2, "3"), (3, "6")]


def test_pk_grows_over_all_rooms(history):
    history.create_room("other", PUBLIC, ADA)
    stored = history.append([draft(room=room) for room in ("lobby", "other", "lobby", "other")], ORIGIN)
    pks = [one.message.pk for one in stored] + [say(history, "later", room="other")[0].pk]
    assert pks == sorted(set(pks))


def test_the_room_knows_its_last_message(history):
    last = say(history, "a", "b")[-1]
    room = history.room("lobby")
    assert (room.first_seq, room.last_seq, room.last_at) == (1, 2, last.ts)


def test_nothing_to_append(history, lobby):
    assert history.append([], ORIGIN) == []
    assert history.room("lobby") == lobby


def test_an_unknown_room_is_refused_and_the_others_are_stored(history):
    results = history.append([draft("a"), draft("b", "nowhere"), draft("c")], ORIGIN)
    assert results[1] == "unknown_room"
    assert [results[0].message.seq, results[2].message.seq] == [1, 2]


def test_an_ephemeral_room_stores_nothing(history):
    room = history.create_room("typing", PUBLIC, ADA, ephemeral=True)
    assert room.ephemeral
    assert history.append([draft(room="typing")], ORIGIN) == ["unknown_room"]


def test_what_no_database_takes_is_replaced(history, lobby):
    (message,) = say(history, "a\x00b\ud800c")
    assert message.data == "a\ufffdb\ufffdc" == history.find(lobby.id, 1).data


def test_a_big_batch(history, lobby):
    stored = history.append([draft(str(n)) for n in range(1000)], ORIGIN)
    assert [one.message.seq for one in stored] == list(range(1, 1001))
    assert texts(history.after(lobby.id, 0, 2000)) == [str(n) for n in range(1000)]


# Repeats


def test_a_repeat_gets_the_first_one(history, another, lobby):
    (first,) = history.append([draft("hi", id="x")], ORIGIN)
    (again,) = another.append([draft("hi", id="x")], ORIGIN + 1)
    assert again == Stored(first.message, False, None)
    assert history.room("lobby").last_seq == 1


def test_a_repeat_among_new_ones(history, lobby):
    (first,) = history.append([draft("hi", id="x")], ORIGIN)
    new, repeat, last = history.append([draft("new"), draft("hi", id="x"), draft("last")], ORIGIN)
    assert repeat == Stored(first.message, False, None)
    assert [new.message.seq, last.message.seq] == [2, 3] == seqs(history.after(lobby.id, 1, 10))


def test_twins_in_one_batch(history):
    first, again = history.append([draft("hi", id="x"), draft("hi", id="x")], ORIGIN)
    assert first.fresh and again == Stored(first.message, False, None)
    assert history.room("lobby").last_seq == 1


@pytest.mark.parametrize("together", [True, False])
def test_an_id_with_other_contents_is_a_conflict(history, together):
    drafts = [draft("hi", id="x"), draft("ho", id="x")]
    results = (
        history.append(drafts, ORIGIN) if together else [history.append([one], ORIGIN)[0] for one in drafts]
    )
    assert results[0].fresh and results[1] == "id_conflict"
    assert history.room("lobby").last_seq == 1


def test_ids_are_each_senders_and_rooms_own(history):
    history.create_room("other", PUBLIC, ADA)
    drafts = [draft("a", id="x"), draft("b", sender=BOB, id="x"), draft("c", "other", id="x")]
    drafts.append(draft("d", sender=None, id="x"))
    assert [stored.fresh for stored in history.append(drafts, ORIGIN)] == [True] * 4


def test_only_repeats_change_nothing(history):
    history.append([draft("hi", id="x")], ORIGIN)
    room = history.room("lobby")
    history.append([draft("hi", id="x")], ORIGIN)
    assert history.room("lobby") == room


# Side by side


def test_seq_is_gapless_whoever_appends(history, another):
    rooms = [history.create_room(name, PUBLIC, None) for name in ("a", "b", "c")]

    def write(store, order):
        def work():
            for _ in range(10):
                for stored in store.append([draft(room=name) for name in order], ORIGIN):
                    assert stored.fresh

        return work

    results = at_once(
        *(write(store, order) for store in (history, another) for order in ("abc", "cba", "bbac"))
    )
    assert results == [None] * 6
    for room in rooms:
        messages = history.after(room.id, 0, 1000)
        assert seqs(messages) == list(range(1, len(messages) + 1)) and len(messages) >= 60
        assert [m.pk for m in messages] == sorted(m.pk for m in messages)
        assert history.room(room.name).last_seq == len(messages)


def test_the_same_ids_at_once_are_stored_once(history, another, lobby):
    drafts = [draft(str(n), id=f"same{n}") for n in range(20)]
    stores = (history, another) * 3
    results = at_once(*(lambda store=store: store.append(drafts, ORIGIN) for store in stores))
    assert texts(history.after(lobby.id, 0, 1000)) == [str(n) for n in range(20)]
    assert [one.message for one in results[0]] == history.after(lobby.id, 0, 1000)
    assert all([one.message for one in result] == [one.message for one in results[0]] for result in results)
    assert sum(one.fresh for result in results for one in result) == 20


def test_first_direct_messages_at_once(history, another):
    """Both ends begin, in both processes, and some talk in the lobby: nobody waits in a circle."""
    pairs = [
        (ADA, "bob", "2"),
        (BOB, "ada", "1"),
        (CY, "ada", "1"),
        (ADA, "cy", "3"),
        (BOB, "cy", "3"),
        (CY, "bob", "2"),
    ]

    def write(store, turn):
        turned = pairs[turn:] + pairs[:turn]
        drafts = [direct(to, sender=sender, to_id=to_id) for sender, to, to_id in turned]
        return lambda: store.append([draft(), *drafts, draft()], ORIGIN)

    results = at_once(*(write(store, turn) for store in (history, another) for turn in range(3)))
    assert all(stored.fresh for result in results for stored in result), results
    for name in ("dm:1:2", "dm:1:3", "dm:2:3"):
        assert history.room(name).last_seq == 12
        assert len(history.members(history.room(name).id, None, 10)) == 2


# Direct messages


def test_the_first_direct_message_makes_the_room(history):
    (stored,) = history.append([direct("Bob", "hi", to_id="2")], ORIGIN)
    room = history.room("dm:1:2")
    assert (room.kind, room.title, room.last_seq, room.created_by) == (DIRECT, "", 1, None)
    message = stored.message
    assert (stored.to_id, message.room, message.type, message.to) == ("2", "dm:1:2", 3, "Bob")
    members = history.members(room.id, None, 10)
    assert [(m.user, m.role, m.read_seq) for m in members] == [(ADA, MEMBER, 0), (BOB, MEMBER, 0)]


def test_a_receiver_is_found_by_name(history):
    results = history.append([direct("bOb"), direct("nobody"), direct("Ｃｙ")], ORIGIN)
    assert [results[0].to_id, results[1], results[2].to_id] == ["2", "unknown_user", "3"]
    assert [results[0].message.room, results[2].message.room] == ["dm:1:2", "dm:1:3"]
    assert [results[0].message.to, results[2].message.to] == ["Bob", "Cy"]


def test_both_ends_talk_in_one_room(history):
    history.append([direct("bob", "a"), direct("ada", "b", BOB)], ORIGIN)
    history.append([direct("ada", "c", BOB, "1")], ORIGIN)
    room = history.room("dm:1:2")
    assert texts(history.after(room.id, 0, 10)) == ["a", "b", "c"]


def test_a_sites_own_user_needs_no_row(history):
    stranger = Identity("s:7", "stranger")
    history.append([direct("visitor", sender=stranger, to_id="v:8")], ORIGIN)
    (room,) = history.rooms_of("v:8")
    assert (room.room.name, room.peer) == ("dm:s:7:v:8", stranger)


def test_the_house_writes_to_one(history):
    (stored,) = history.append([direct("ada", "look", sender=None)], ORIGIN)
    assert (stored.message.room, stored.message.user) == ("dm::1", None)
    (room,) = history.rooms_of("1")
    assert room.peer is None and room.unread == 1


def test_who_talks_to_himself(history):
    history.append([direct("ada", "note to self")], ORIGIN)
    (room,) = history.rooms_of("1")
    assert (room.room.name, room.peer) == ("dm:1:1", ADA)


def test_a_repeated_direct_message(history):
    first, again = (history.append([direct("bob", "hi", id="x")], ORIGIN)[0] for _ in range(2))
    assert again == Stored(first.message, False, "2")
    assert history.append([direct("bob", "ho", id="x")], ORIGIN) == ["id_conflict"]


# Reading


def test_pages(history, lobby):
    say(history, *map(str, range(1, 11)))
    assert seqs(history.after(lobby.id, 0, 3)) == [1, 2, 3]
    assert seqs(history.after(lobby.id, 3, 100)) == [4, 5, 6, 7, 8, 9, 10]
    assert seqs(history.after(lobby.id, 3, 100, 5)) == [4, 5]
    assert seqs(history.before(lobby.id, None, 3)) == [8, 9, 10]
    assert seqs(history.before(lobby.id, 4, 2)) == [2, 3]
    assert seqs(history.before(lobby.id, 1, 2)) == [] == history.after(lobby.id, 10, 5)
    assert history.find(lobby.id, 4).data == "4" and history.find(lobby.id, 11) is None


def test_newer(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    third = history.create_room("third", PUBLIC, ADA)
    (old,) = say(history, "old")
    say(history, "a")
    say(history, "b", room="other")
    say(history, "not asked for", room="third")
    say(history, "c")
    assert texts(history.newer([lobby.id, other.id], old.pk, 10)) == ["a", "b", "c"]
    assert texts(history.newer([lobby.id, other.id], old.pk, 2)) == ["a", "b"]
    assert texts(history.newer([third.id, 999], 0, 10)) == ["not asked for"]
    assert history.newer([], 0, 10) == []


def test_export(history, lobby):
    say(history, *map(str, range(1200)))
    export = history.export(lobby.id)
    assert next(export).data == "0"
    say(history, "said meanwhile")
    assert texts(export) == [*map(str, range(1, 1200)), "said meanwhile"]


# What others have stored


def test_a_first_mark_tells_nothing(history):
    say(history, "a")
    mark, rows = history.changed(None)
    assert rows == []
    assert history.changed(mark) == (mark, [])


def test_changed_rooms(history, another):
    mark, _ = history.changed(None)
    say(another, "a")
    made = another.create_room("other", PUBLIC, ADA)
    later, rows = history.changed(mark)
    assert {row.name for row in rows} == {"lobby", "other"}
    assert made in rows and history.room("lobby") in rows
    another.update_room(made.id, topic="news")
    say(another, "b", room="other")
    after, rows = history.changed(later)
    assert [(row.name, row.topic, row.last_seq) for row in rows] == [("other", "news", 1)]
    assert history.changed(after)[1] == []


def test_new_messages(history, another, lobby):
    say(another, "old")
    mark, _ = history.changed(None)
    say(another, "a", "b")
    later, _ = history.changed(mark)
    other = another.create_room("other", PUBLIC, ADA)
    say(another, "c", room="other")
    say(another, "d")
    assert texts(history.new_in([lobby.id, other.id], mark)) == ["a", "b", "c", "d"]
    assert texts(history.new_in([lobby.id, other.id], later)) == ["c", "d"]
    assert texts(history.new_in([other.id], mark)) == ["c"]


def test_a_reader_misses_nothing_of_many_writers(history, another):
    names = ["lobby", "dm:1:2"]
    heard = {name: set() for name in names}
    marks = [history.changed(None)[0]]

    def write(store):
        for _ in range(20):
            store.append([draft(), direct("bob", to_id="2"), draft()], ORIGIN)

    def look():
        mark, rows = history.changed(marks[-1])
        messages = history.new_in([row.id for row in rows], marks[-1])
        for message in messages:
            heard[message.room].add(message.seq)
        marks.append(mark)

    def read():
        while len(heard["lobby"]) < 160:
            look()

    results = at_once(read, *(lambda store=store: write(store) for store in (history, another) * 2))
    assert results == [None] * 5
    look()
    assert heard == {"lobby": set(range(1, 161)), "dm:1:2": set(range(1, 81))}


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


def test_direct_rooms_are_not_made_by_asking(history):
    with pytest.raises(ValueError, match="direct"):
        history.create_room("x", DIRECT, ADA)


def test_one_of_many_gets_the_name(history, another):
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
    say(history, "a", "b")
    assert history.role(lobby.id, "2") is None
    assert history.join(lobby.id, BOB)
    assert not history.join(lobby.id, BOB, ADMIN)
    assert history.role(lobby.id, "2") == MEMBER
    (member,) = history.members(lobby.id, None, 10)
    assert member[:3] == (BOB, MEMBER, 2) and abs(member.joined_at - now_ms()) < 10_000
    assert history.leave(lobby.id, "2") and not history.leave(lobby.id, "2")
    assert history.role(lobby.id, "2") is None and history.members(lobby.id, None, 10) == []


def test_nobody_joins_a_room_that_is_not(history):
    assert not history.join(999, ADA)
    assert history.members(999, None, 10) == [] and history.mark_read(999, "1", 1) is None


def test_join_at_once(history, another, lobby):
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


def test_members_come_by_name(history, lobby):
    names = ["bob", "Ada", "eve", "Cyd", "Émile", "dan"]
    for number, name in enumerate(names):
        history.join(lobby.id, Identity(f"m{number}", name))
    order = ["Ada", "bob", "Cyd", "dan", "eve", "Émile"]

    def page(after, limit):
        return [member.user.username for member in history.members(lobby.id, after, limit)]

    assert page(None, 100) == order == sorted(names, key=name_key)
    assert page(None, 2) + page("BOB", 2) + page("dan", 2) == order


def test_rooms_of_a_user(history):
    room = history.create_room("r", PUBLIC, ADA)
    history.create_room("not mine", PUBLIC, BOB)
    history.join(history.room("lobby").id, ADA)
    say(history, "said in the lobby")
    time.sleep(0.002)
    history.append([direct("bob", "hi")], ORIGIN)
    time.sleep(0.002)
    (last,) = say(history, "newest", room="r", sender=BOB)
    first, second, third = history.rooms_of("1")
    assert first == (history.room("r"), OWNER, 0, 1, 0, None, last)
    assert (second.room.name, second.peer, second.unread, second.last.data) == ("dm:1:2", BOB, 1, "hi")
    assert (third.room.name, third.last.data) == ("lobby", "said in the lobby")
    assert (third.read_seq, third.unread) == (0, 1)
    assert room.id == first.room.id and history.rooms_of("9") == []


def test_an_empty_rooms_last_message(history):
    history.create_room("r", PUBLIC, ADA)
    (mine,) = history.rooms_of("1")
    assert mine.last is None and mine.unread == 0


def test_unread_counts(history, lobby):
    say(history, "before")
    history.join(lobby.id, BOB)
    assert history.unread("2") == {}
    say(history, "a", "b @bob", "c", "d @Bob!")
    assert history.unread("2") == {"lobby": (4, 2)}
    assert history.mark_read(lobby.id, "2", 3) == (3, 2, 1)
    assert history.mark_read(lobby.id, "2", 2) == (3, 2, 1)
    assert history.unread("2") == {"lobby": (2, 1)}
    assert history.mark_read(lobby.id, "2", 99) == (5, 0, 0)
    assert history.unread("2") == {}
    assert history.rooms_of("2")[0][2:5] == (5, 0, 0)
    say(history, "e")
    assert history.unread("2") == {"lobby": (1, 0)}
    assert history.mark_read(lobby.id, "3", 1) is None


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
def test_who_is_named(backend, request, history, lobby, text, named):
    more = [Identity("4", "小明"), Identity("5", "Mary"), Identity("6", "Mary Jane Watson")]
    for user in more:
        if backend == "memory":
            history.add_user(user)
        else:
            Users(request.getfixturevalue("engine"), run).ensure(user)
    everyone = [ADA, BOB, CY, *more]
    for user in everyone:
        history.join(lobby.id, user)
    say(history, "nobody", text, sender=None)
    assert "".join(user.id for user in everyone if history.unread(user.id)["lobby"][1]) == named


def test_a_repeat_names_nobody_again(history, lobby):
    history.join(lobby.id, BOB)
    for _ in range(2):
        history.append([draft("@bob", id="x")], ORIGIN)
    assert history.unread("2") == {"lobby": (1, 1)}


def test_a_flood_of_mentions_is_bounded(history, lobby):
    history.join(lobby.id, BOB)
    begun = time.monotonic()
    history.append([draft("@a b c d e f g h i j k l " * 40) for _ in range(300)], ORIGIN)
    assert time.monotonic() - begun < 10
    say(history, "@x " * 19 + "@bob")
    assert history.unread("2")["lobby"][1] == 1


def test_what_nobody_can_be_called_is_nobodys(history, lobby):
    for bad in ("a\x00b", "\ud800"):
        assert history.room(bad) is None and history.rooms_named([bad, "lobby"]) == {"lobby": lobby}
        assert history.role(lobby.id, bad) is None and not history.set_role(lobby.id, bad, ADMIN)
        assert not history.leave(lobby.id, bad) and history.mark_read(lobby.id, bad, 1) is None
        assert history.rooms_of(bad) == [] and history.unread(bad) == {} and history.count_created(bad) == 0
        assert history.directory(bad, None, 10) == [] and history.members(lobby.id, bad, 10) == []


# Search


def found(history, text, *rooms, before=None, limit=10):
    return texts(history.search(text, [room.id for room in rooms], before, limit))


def test_search(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    say(history, "Hello World", "今天天气很好", "naïve café", "wording")
    say(history, "hello elsewhere", room="other")
    assert found(history, "hello", lobby) == ["Hello World"]
    assert found(history, "hello", lobby, other) == ["hello elsewhere", "Hello World"]
    assert found(history, "WORLD hello", lobby) == ["Hello World"]
    assert found(history, "wor", lobby) == ["wording", "Hello World"]
    for words in ("天气", "好", "今天天气很好"):
        assert found(history, words, lobby) == ["今天天气很好"]
    assert found(history, "天好", lobby) == []
    assert found(history, "cafe", lobby) == ["naïve café"]
    assert found(history, "hello") == found(history, "", lobby) == found(history, "?!", lobby) == []


@pytest.mark.parametrize(
    "text",
    [
        "'",
        '"',
        "hello AND",
        "hello*",
        "(hello",
        "NEAR(hello",
        "terms:hello",
        ":*",
        "\\",
        "a\x00b",
        "\ud800",
        "§1",
        "hello ' & | !",
    ],
)
def test_a_search_is_never_an_error(history, lobby, text):
    say(history, "nothing of that")
    assert found(history, text, lobby) == []


def test_pages_of_a_search(history, lobby):
    say(history, *(f"message {number}" for number in range(10)))
    page = history.search("message", [lobby.id], None, 4)
    assert texts(page) == ["message 9", "message 8", "message 7", "message 6"]
    assert found(history, "message", lobby, before=page[-1].pk, limit=4) == [
        f"message {n}" for n in (5, 4, 3, 2)
    ]
    assert found(history, "message", lobby, before=history.find(lobby.id, 1).pk) == []


# Retention


def tomorrow():
    return now_ms() + 86_400_000


def test_prune(history, lobby):
    history.join(lobby.id, BOB)
    say(history, "old @bob", "old too", sender=None)
    time.sleep(0.005)
    (young, _) = say(history, "young @bob", "younger")
    mark, _ = history.changed(None)
    assert history.prune(lobby.id, young.ts) == 2
    assert texts(history.after(lobby.id, 0, 10)) == ["young @bob", "younger"]
    room = history.room("lobby")
    assert (room.first_seq, room.last_seq) == (3, 4)
    assert history.changed(mark)[1] == [room]
    assert history.unread("2") == {"lobby": (2, 1)}
    assert found(history, "old", lobby) == [] and found(history, "young", lobby) == ["younger", "young @bob"]
    assert history.prune(lobby.id, young.ts) == 0
    assert history.mark_read(lobby.id, "2", 1) == (1, 2, 1)


def test_prune_everything(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    last = say(history, *map(str, range(1200)))[-1]
    say(history, "a", room="other")
    assert history.prune_all(tomorrow()) == 1201
    assert history.prune_all(tomorrow()) == 0
    room = history.room("lobby")
    assert (room.first_seq, room.last_seq) == (1201, 1200)
    history.join(lobby.id, BOB)
    (message,) = say(history, "again")
    assert message.seq == 1201 and message.pk > last.pk
    assert history.rooms_of("2")[0].unread == 1
    assert history.newer([lobby.id, other.id], last.pk, 10) == [message]


def test_a_pruned_id_may_come_again(history, lobby):
    history.append([draft("hi", id="x")], ORIGIN)
    history.prune(lobby.id, tomorrow())
    (stored,) = history.append([draft("other words", id="x")], ORIGIN)
    assert stored.fresh and stored.message.seq == 2


def test_prune_beside_a_writer(history, another, lobby):
    say(history, *map(str, range(1500)))

    def write():
        for number in range(30):
            assert say(another, f"new {number}")

    results = at_once(
        write, lambda: history.prune(lobby.id, tomorrow()), lambda: another.prune(lobby.id, tomorrow())
    )
    room = history.room("lobby")
    kept = history.after(lobby.id, 0, 5000)
    assert results[0] is None and results[1] + results[2] == 1530 - len(kept)
    assert seqs(kept) == list(range(room.first_seq, room.last_seq + 1)) and room.last_seq == 1530


def test_ping(history):
    assert history.ping() is None
