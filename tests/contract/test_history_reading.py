"""The contract of a history: reading, searching and pruning, in memory, on SQLite and on PostgreSQL."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chat.store.history import PUBLIC
from chat.store.models import now_ms
from tests.contract.drafts import ADA, BOB, HISTORIES, ORIGIN, append_texts, direct, draft, seqs, texts
from tests.contract.threads import at_once

pytestmark = [pytest.mark.contract, pytest.mark.parametrize("backend", HISTORIES, indirect=True)]


# Reading


def test_pages(history, lobby):
    append_texts(history, *map(str, range(1, 11)))
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
    (old,) = append_texts(history, "old")
    append_texts(history, "a")
    append_texts(history, "b", room="other")
    append_texts(history, "not requested", room="third")
    append_texts(history, "c")
    assert texts(history.newer([lobby.id, other.id], old.pk, 10)) == ["a", "b", "c"]
    assert texts(history.newer([lobby.id, other.id], old.pk, 2)) == ["a", "b"]
    assert texts(history.newer([third.id, 999], 0, 10)) == ["not requested"]
    assert history.newer([], 0, 10) == []


def test_export(history, lobby):
    append_texts(history, *map(str, range(1200)))
    export = history.export(lobby.id)
    assert next(export).data == "0"
    append_texts(history, "written meanwhile")
    assert texts(export) == [*map(str, range(1, 1200)), "written meanwhile"]


# Changes by other processes


def test_a_first_mark_comes_without_rooms(history):
    append_texts(history, "a")
    mark, rows = history.changed(None)
    assert rows == []
    assert history.changed(mark) == (mark, [])


def test_changed_rooms(history, another):
    mark, _ = history.changed(None)
    append_texts(another, "a")
    made = another.create_room("other", PUBLIC, ADA)
    later, rows = history.changed(mark)
    assert {row.name for row in rows} == {"lobby", "other"}
    assert made in rows and history.room("lobby") in rows
    another.update_room(made.id, topic="news")
    append_texts(another, "b", room="other")
    after, rows = history.changed(later)
    assert [(row.name, row.topic, row.last_seq) for row in rows] == [("other", "news", 1)]
    assert history.changed(after)[1] == []


def test_new_messages(history, another, lobby):
    append_texts(another, "old")
    mark, _ = history.changed(None)
    append_texts(another, "a", "b")
    later, _ = history.changed(mark)
    other = another.create_room("other", PUBLIC, ADA)
    append_texts(another, "c", room="other")
    append_texts(another, "d")
    assert texts(history.new_in([lobby.id, other.id], mark)) == ["a", "b", "c", "d"]
    assert texts(history.new_in([lobby.id, other.id], later)) == ["c", "d"]
    assert texts(history.new_in([other.id], mark)) == ["c"]


def test_a_reader_misses_no_message_of_concurrent_writers(history, another):
    received = {"lobby": set(), "dm:1:2": set()}
    mark, _ = history.changed(None)
    done = threading.Event()

    def write(store):
        for _ in range(20):
            store.append([draft(), direct("bob", to_id="2"), draft()], ORIGIN)

    def read(mark):
        while True:
            finished = done.is_set()
            next_mark, rows = history.changed(mark)
            for message in history.new_in([row.id for row in rows], mark):
                received[message.room].add(message.seq)
            mark = next_mark
            if finished:
                return

    with ThreadPoolExecutor() as pool:
        reader = pool.submit(read, mark)
        assert at_once(*(lambda store=store: write(store) for store in (history, another) * 2)) == [None] * 4
        done.set()
        reader.result()
    assert received == {"lobby": set(range(1, 161)), "dm:1:2": set(range(1, 81))}


# Search


def found(history, text, *rooms, before=None, limit=10):
    return texts(history.search(text, [room.id for room in rooms], before, limit))


def test_search(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    append_texts(history, "Hello World", "今天天气很好", "naïve café", "wording")
    append_texts(history, "hello elsewhere", room="other")
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
def test_no_query_raises_an_error(history, lobby, text):
    append_texts(history, "no match")
    assert found(history, text, lobby) == []


def test_pages_of_a_search(history, lobby):
    append_texts(history, *(f"message {number}" for number in range(10)))
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
    append_texts(history, "old @bob", "old too", sender=None)
    time.sleep(0.005)
    (young, _) = append_texts(history, "young @bob", "younger")
    mark, _ = history.changed(None)
    assert history.prune(lobby.id, young.ts) == 2
    assert texts(history.after(lobby.id, 0, 10)) == ["young @bob", "younger"]
    room = history.room("lobby")
    assert (room.first_seq, room.last_seq) == (3, 4)
    assert history.changed(mark)[1] == [room]
    assert history.unread("2") == {"lobby": (2, 1)}
    assert found(history, "old", lobby) == [] and found(history, "young", lobby) == ["younger", "young @bob"]
    assert history.prune(lobby.id, young.ts) == 0
    assert history.mark_read(lobby.id, "2", 1) == (2, 2, 1)  # what was pruned needs no reading


def test_prune_everything(history, lobby):
    other = history.create_room("other", PUBLIC, ADA)
    last = append_texts(history, *map(str, range(1200)))[-1]
    append_texts(history, "a", room="other")
    assert history.prune_all(tomorrow()) == 1201
    assert history.prune_all(tomorrow()) == 0
    room = history.room("lobby")
    assert (room.first_seq, room.last_seq) == (1201, 1200)
    history.join(lobby.id, BOB)
    (message,) = append_texts(history, "again")
    assert message.seq == 1201 and message.pk > last.pk
    assert history.rooms_of("2")[0].unread == 1
    assert history.newer([lobby.id, other.id], last.pk, 10) == [message]


def test_a_pruned_id_can_be_used_again(history, lobby):
    history.append([draft("hi", id="x")], ORIGIN)
    history.prune(lobby.id, tomorrow())
    (stored,) = history.append([draft("other words", id="x")], ORIGIN)
    assert stored.fresh and stored.message.seq == 2


def test_prune_during_writes(history, another, lobby):
    append_texts(history, *map(str, range(1500)))

    def write():
        for number in range(30):
            assert append_texts(another, f"new {number}")

    results = at_once(
        write, lambda: history.prune(lobby.id, tomorrow()), lambda: another.prune(lobby.id, tomorrow())
    )
    room = history.room("lobby")
    kept = history.after(lobby.id, 0, 5000)
    assert results[0] is None and results[1] + results[2] == 1530 - len(kept)
    assert seqs(kept) == list(range(room.first_seq, room.last_seq + 1)) and room.last_seq == 1530


def test_ping(history):
    assert history.ping() is None
