"""What a client missed is not read and encoded where it is too long to be sent, however often it asks."""

import pytest

from chat.rooms.missed_messages import FIRST_READ, MissedMessages
from chat.store.history import PUBLIC, Draft
from tests.in_process import Processes, identity, quick_settings
from tests.resumer import JOIN, SYNCED

COUNT, LONG = 300, 30_000


@pytest.fixture
def processes():
    processes = Processes(1, quick_settings(outbox_bytes=20 * LONG), ["ann"])
    yield processes
    processes.end()


def fill(processes, data):
    store = processes.store
    row = store.create_room("long", PUBLIC, None)
    drafts = [Draft(2, "long", identity("ann"), f"m{n}", True, data) for n in range(COUNT)]
    store.append(drafts, 1)
    return row


def read(processes, row, since=0):
    missed = MissedMessages(processes.runtimes[0].hub, processes.store)
    return missed._newest(row.id, since, COUNT)


def test_of_long_messages_only_the_first_page_is_read(processes):
    assert len(read(processes, fill(processes, "x" * LONG))) == FIRST_READ


def test_of_short_messages_all_are_read_in_order(processes):
    row = fill(processes, "short")
    assert [message.seq for message in read(processes, row)] == list(range(1, COUNT + 1))
    assert [message.seq for message in read(processes, row, COUNT - 7)] == list(range(COUNT - 6, COUNT + 1))


def test_a_client_that_missed_little_gets_it_beside_one_that_missed_too_much(processes):
    fill(processes, "x" * LONG)
    answers = []
    for since in (0, COUNT - 2):
        line = processes.connect(0, "ann")
        line.send({"type": JOIN, "room": "long", "since": since})
        answers.append(line)
    processes.settle()
    received = [line.receive() for line in answers]
    synced = [next(message for message in got if message["type"] == SYNCED) for got in received]
    assert [message["recovered"] for message in synced] == [False, True]
    assert [message["seq"] for message in received[1] if message.get("data") == "x" * LONG] == [
        COUNT - 1,
        COUNT,
    ]
    for line in answers:
        line.close()
