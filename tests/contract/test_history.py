"""The contract of a history: appending messages, in memory, on SQLite and on PostgreSQL."""

import pytest

from chat.identity.addressing import Ambiguous
from chat.store.history import DIRECT, MEMBER, PUBLIC, Stored
from chat.store.models import now_ms
from chat.wire.envelope import Identity, direct_room
from tests.contract.drafts import (
    ADA,
    BOB,
    HISTORIES,
    LOW_BOB,
    ORIGIN,
    append_texts,
    direct,
    draft,
    seqs,
    texts,
)
from tests.contract.threads import at_once

pytestmark = [pytest.mark.contract, pytest.mark.parametrize("backend", HISTORIES, indirect=True)]


# Append


def test_a_message_is_stored_as_given(history, lobby):
    (stored,) = history.append([draft("你好 😀", id="x1")], ORIGIN)
    message = stored.message
    assert stored == Stored(message, True, None)
    assert message[1:9] == ("lobby", lobby.id, 1, 2, ADA, None, "x1", "你好 😀")
    assert message.origin == ORIGIN and abs(message.ts - now_ms()) < 10_000
    assert history.after(lobby.id, 0, 10) == [message]


def test_a_message_from_the_server_has_no_user(history, lobby):
    (message,) = append_texts(history, "welcome", sender=None)
    assert message.user is None
    assert history.find(lobby.id, 1) == message


def test_seq_follows_the_order_of_the_drafts(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    stored = history.append([draft(str(n), "lobby" if n % 3 else "other") for n in range(9)], ORIGIN)
    assert [one.message.data for one in stored] == [str(n) for n in range(9)]
    assert texts(history.after(lobby.id, 0, 10)) == ["1", "2", "4", "5", "7", "8"]
    assert [(m.seq, m.data) for m in history.after(other.id, 0, 10)] == [(1, "0"), (2, "3"), (3, "6")]


def test_pk_ascends_over_all_rooms(history):
    history.create_room("other", PUBLIC, ADA)
    stored = history.append([draft(room=room) for room in ("lobby", "other", "lobby", "other")], ORIGIN)
    pks = [one.message.pk for one in stored] + [append_texts(history, "later", room="other")[0].pk]
    assert pks == sorted(set(pks))


def test_a_room_has_the_seq_and_time_of_its_last_message(history):
    last = append_texts(history, "a", "b")[-1]
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


def test_characters_that_cannot_be_stored_are_replaced(history, lobby):
    (message,) = append_texts(history, "a\x00b\ud800c")
    assert message.data == "a\ufffdb\ufffdc" == history.find(lobby.id, 1).data


def test_a_big_batch(history, lobby):
    stored = history.append([draft(str(n)) for n in range(1000)], ORIGIN)
    assert [one.message.seq for one in stored] == list(range(1, 1001))
    assert texts(history.after(lobby.id, 0, 2000)) == [str(n) for n in range(1000)]


# Repeats


def test_a_repeat_returns_the_stored_message(history, another, lobby):
    (first,) = history.append([draft("hi", id="x")], ORIGIN)
    (again,) = another.append([draft("hi", id="x")], ORIGIN + 1)
    assert again == Stored(first.message, False, None)
    assert history.room("lobby").last_seq == 1


def test_a_repeat_among_new_ones(history, lobby):
    (first,) = history.append([draft("hi", id="x")], ORIGIN)
    new, repeat, last = history.append([draft("new"), draft("hi", id="x"), draft("last")], ORIGIN)
    assert repeat == Stored(first.message, False, None)
    assert [new.message.seq, last.message.seq] == [2, 3] == seqs(history.after(lobby.id, 1, 10))


def test_a_repeat_in_the_same_batch(history):
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


def test_an_id_is_unique_per_sender_and_room(history):
    history.create_room("other", PUBLIC, ADA)
    drafts = [draft("a", id="x"), draft("b", sender=BOB, id="x"), draft("c", "other", id="x")]
    drafts.append(draft("d", sender=None, id="x"))
    assert [stored.fresh for stored in history.append(drafts, ORIGIN)] == [True] * 4


def test_only_repeats_change_nothing(history):
    history.append([draft("hi", id="x")], ORIGIN)
    room = history.room("lobby")
    history.append([draft("hi", id="x")], ORIGIN)
    assert history.room("lobby") == room


# Concurrency


def test_seqs_of_concurrent_appends_have_no_gaps(history, another):
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


def test_concurrent_repeats_are_stored_once(history, another, lobby):
    drafts = [draft(str(n), id=f"same{n}") for n in range(20)]
    stores = (history, another) * 3
    results = at_once(*(lambda store=store: store.append(drafts, ORIGIN) for store in stores))
    assert texts(history.after(lobby.id, 0, 1000)) == [str(n) for n in range(20)]
    assert [one.message for one in results[0]] == history.after(lobby.id, 0, 1000)
    assert all([one.message for one in result] == [one.message for one in results[0]] for result in results)
    assert sum(one.fresh for result in results for one in result) == 20


def test_concurrent_first_direct_messages(history, another):
    """Both processes create the same conversations, in different orders, without a deadlock."""
    people = [Identity(f"p{number}", f"person {number}") for number in range(60)]

    def write(store, turn):
        turned = people[turn:] + people[:turn]
        drafts = [direct(to.username, to_id=to.id) for to in turned[:: 1 if turn % 2 else -1]]
        return lambda: store.append([draft(), *drafts, draft()], ORIGIN)

    results = at_once(*(write(store, turn) for turn in (0, 21, 40) for store in (history, another)))
    assert all(stored.fresh for result in results for stored in result), results
    rooms = history.rooms_named(f"dm:1:{person.id}" for person in people)
    assert [room.last_seq for room in rooms.values()] == [6] * 60
    assert [len(history.members(room.id, None, 10)) for room in rooms.values()] == [2] * 60


# Direct messages


def test_the_first_direct_message_creates_the_room(history):
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


def test_of_names_that_differ_in_case_each_means_its_user(history, add_user):
    add_user(LOW_BOB)
    results = history.append([direct("Bob"), direct("bob"), direct("BOB"), direct("Ｂｏｂ")], ORIGIN)
    assert [(stored.to_id, stored.message.to) for stored in results[:2]] == [("2", "Bob"), ("22", "bob")]
    assert results[2:] == [Ambiguous((BOB, LOW_BOB))] * 2
    assert [history.room(name).last_seq for name in ("dm:1:2", "dm:1:22")] == [1, 1]


def test_a_receiver_is_found_by_id(history, add_user):
    add_user(LOW_BOB)
    results = history.append(
        [direct(None, to_id="2"), direct(None, to_id="22"), direct(None, to_id="x")], ORIGIN
    )
    assert [(stored.to_id, stored.message.to) for stored in results[:2]] == [("2", "Bob"), ("22", "bob")]
    assert results[2] == "unknown_user"


def test_a_connected_user_without_a_row_counts_too(history):
    visitor, low = Identity("v:1", "visitor"), LOW_BOB
    drafts = [direct("VISITOR"), direct("BOB"), direct("bob"), direct("Bob")]
    connected = [[visitor], [low], [low], [BOB, BOB]]
    results = history.append(
        [draft._replace(connected=users) for draft, users in zip(drafts, connected, strict=True)], ORIGIN
    )
    assert (results[0].to_id, results[0].message.to) == ("v:1", "visitor")
    assert results[1] == Ambiguous((BOB, low))
    assert [stored.to_id for stored in results[2:]] == ["22", "2"]


def test_both_users_write_to_one_room(history):
    history.append([direct("bob", "a"), direct("ada", "b", BOB)], ORIGIN)
    history.append([direct("ada", "c", BOB, "1")], ORIGIN)
    room = history.room("dm:1:2")
    assert texts(history.after(room.id, 0, 10)) == ["a", "b", "c"]


def test_a_sites_own_user_needs_no_row(history):
    stranger = Identity("s:7", "stranger")
    history.append([direct("visitor", sender=stranger, to_id="v:8")], ORIGIN)
    (room,) = history.rooms_of("v:8")
    assert (room.room.name, room.peer) == (direct_room("s:7", "v:8"), stranger)


def test_a_direct_message_from_the_server(history):
    (stored,) = history.append([direct("ada", "look", sender=None)], ORIGIN)
    assert (stored.message.room, stored.message.user) == ("dm::1", None)
    (room,) = history.rooms_of("1")
    assert room.peer is None and room.unread == 1


def test_a_direct_message_to_oneself(history):
    history.append([direct("ada", "note to self")], ORIGIN)
    (room,) = history.rooms_of("1")
    assert (room.room.name, room.peer) == ("dm:1:1", ADA)


def test_a_repeated_direct_message(history):
    first, again = (history.append([direct("bob", "hi", id="x")], ORIGIN)[0] for _ in range(2))
    assert again == Stored(first.message, False, "2")
    assert history.append([direct("bob", "ho", id="x")], ORIGIN) == ["id_conflict"]
