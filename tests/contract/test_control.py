"""The control table, on a SQLite file and on PostgreSQL."""

import threading

import pytest

from tests.contract.threads import at_once

pytestmark = pytest.mark.contract


def test_rows_are_read_in_order(control):
    assert control.last_id() == 0 and control.after(0) == []
    first = control.post("revoke", {"user_id": "7", "at": 5, "code": "kicked"})
    second = control.post("send", {"room": "lobby", "text": "你好"})
    assert first < second == control.last_id()
    assert control.after(first) == [(second, "send", {"room": "lobby", "text": "你好"})]
    assert [row.id for row in control.after(0)] == [first, second]


def test_a_pruned_id_is_not_used_again(control):
    first = control.post("send", {})
    assert control.prune(first) == 1
    assert control.prune(first) == 0
    assert control.post("send", {}) > first


def test_prune_keeps_newer_rows(control):
    first, second = control.post("send", {}), control.post("send", {})
    assert control.prune(first) == 1
    assert [row.id for row in control.after(0)] == [second]


def test_a_reader_misses_no_row_of_concurrent_writers(control):
    """Ids must become visible in order, or a reader would skip one that is committed late."""
    seen, done = [], threading.Event()

    def write():
        for number in range(25):
            control.post("send", {"n": number})

    def read():
        last = 0
        while True:
            finished = done.is_set()
            for row in control.after(last):
                seen.append(row.id)
                last = row.id
            if finished:
                return

    reader = threading.Thread(target=read)
    reader.start()
    results = at_once(*[write] * 8)
    done.set()
    reader.join()
    assert results == [None] * 8
    assert seen == sorted(seen) and len(seen) == 200
