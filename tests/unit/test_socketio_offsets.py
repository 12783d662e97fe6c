"""Offsets: their text, and the position in the store that each event reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.socketio import offsets
from chat.socketio.offsets import Cursor, Offset, RoomPosition, StorePosition
from chat.store.history import Message
from chat.wire.envelope import Identity

ORIGIN = 0xABC
small, large = st.integers(0, 2**31 - 1), st.integers(0, 2**45)


class Progress:
    """The progress of a process: the part of chat.rooms.stored_delivery.StoredDelivery that a cursor reads."""

    def __init__(self):
        self.origin = ORIGIN
        self.mark = 10
        self.last_pk = 0
        self.undelivered = set()


def message(pk, room_id=1, seq=None):
    return Message(
        pk, f"room {room_id}", room_id, seq or pk, 2, Identity("a", "ann"), None, "id", "x", 0, ORIGIN
    )


@pytest.fixture
def progress():
    return Progress()


@pytest.fixture
def cursor(progress):
    cursor = Cursor()
    cursor.progress = progress
    return cursor


def parsed(part, number=7):
    return offsets.read(offsets.write(ORIGIN, number, part).decode())


def deliver(progress, cursor, message):
    progress.last_pk = max(progress.last_pk, message.pk)
    return parsed(cursor.advance(message)).store


# -- as text


@given(small, large, large, large, large, large)
def test_what_is_written_is_read(origin, number, pk, mark, room, seq):
    def read(part):
        return offsets.read(offsets.write(origin, number, part).decode())

    at = RoomPosition(room, seq)
    assert read(b"") == read(offsets.unknown()) == Offset(origin, number, None, None)
    assert read(offsets.unknown(at)) == Offset(origin, number, None, at)
    assert read(offsets.in_order(pk, mark)) == Offset(origin, number, StorePosition(origin, pk, mark), None)
    assert read(offsets.with_room(pk, mark, at)) == Offset(
        origin, number, StorePosition(origin, pk, mark, at), at
    )
    heard = offsets.in_order(pk, mark) + offsets.peer_suffix(room)
    assert read(heard).store == StorePosition(origin, pk, mark, None, room)
    for position in (StorePosition(origin, pk, mark, at, room), StorePosition(origin, pk, mark)):
        part = offsets.replayed(position, position.room, seq, room)
        assert read(part).store == position._replace(replayed=(seq, room))


NONE = [
    "",
    ".",
    "1",
    "1.",
    "1.2.",
    "1.2.3",
    "g.1",
    "1.2.3.4.5",
    "1.2.3.4.r5",
    "1.2.3.4.r5.6.h7",
    "1.2.3.4.h",
    "1.2.3.4.5.6.7",
    "1.2.3.4\n",
    "-1.2",
]
ODD = ["1.2.3.4.x", "１.2", "123456789.1", f"1.2.{'f' * 16}.1", " 1.2", "1.2.3.4.5.6.r"]


@pytest.mark.parametrize("text", [*NONE, *ODD])
def test_a_malformed_offset_is_not_read(text):
    assert offsets.read(text) is None


@given(st.text())
def test_no_text_makes_the_parser_raise(text):
    offsets.read(text)


# -- the position that each event reports


def test_an_own_message_stands_for_all_before_it(progress, cursor):
    assert deliver(progress, cursor, message(3)) == StorePosition(ORIGIN, 3, 10)
    progress.mark = 12
    assert deliver(progress, cursor, message(5, 2)) == StorePosition(ORIGIN, 5, 12)
    assert parsed(cursor.current()).store == StorePosition(ORIGIN, 5, 12)


def test_an_older_message_changes_the_position_in_its_room_only(progress, cursor):
    deliver(progress, cursor, message(5))
    assert deliver(progress, cursor, message(4, 2, 9)) == StorePosition(ORIGIN, 5, 10, RoomPosition(2, 9))
    assert parsed(cursor.current()).store == StorePosition(ORIGIN, 5, 10)
    assert parsed(cursor.out_of_turn(message(1, 3))).store == StorePosition(ORIGIN, 5, 10, RoomPosition(3, 1))


def test_beyond_an_undelivered_message_the_position_is_unknown(progress, cursor):
    deliver(progress, cursor, message(3))
    progress.undelivered.add(6)
    assert deliver(progress, cursor, message(5)) == StorePosition(ORIGIN, 5, 10)
    assert deliver(progress, cursor, message(7)) is None
    assert parsed(cursor.out_of_turn(message(1, 2))) == Offset(ORIGIN, 7, None, RoomPosition(2, 1))
    assert deliver(progress, cursor, message(6, 2)) == StorePosition(ORIGIN, 7, 10, RoomPosition(2, 6))


def test_after_an_early_message_the_position_is_unknown_until_its_turn(progress, cursor):
    deliver(progress, cursor, message(3))
    assert parsed(cursor.advance(message(6, 2, 1))) == Offset(ORIGIN, 7, None, RoomPosition(2, 1))
    assert deliver(progress, cursor, message(4)) is None
    assert deliver(progress, cursor, message(6, 3)) == StorePosition(ORIGIN, 6, 10)


def test_messages_delivered_while_no_client_was_connected_count(progress, cursor):
    progress.last_pk = 8
    cursor.catch_up()
    assert parsed(cursor.current()).store == StorePosition(ORIGIN, 8, 10)


def test_with_the_sites_own_events_the_position_is_unknown(progress, cursor):
    cursor.mixed = True
    assert deliver(progress, cursor, message(3)) is None
    assert parsed(cursor.current()).store is None


def test_without_a_store_there_is_no_position():
    cursor = Cursor()
    cursor.catch_up()
    assert cursor.current() == cursor.advance(message(1)) == b""
