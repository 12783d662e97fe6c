"""Names that a client makes up are not remembered: Joins of conversations, and of rooms, that do not exist."""

import pytest

from tests.in_process import Processes, quick_settings
from tests.resumer import DIRECT, ERROR, JOIN, SYNCED


@pytest.fixture
def processes():
    processes = Processes(
        1, quick_settings(ephemeral_rooms=("typing-*",), max_rooms_per_client=5), ["ann", "bob"]
    )
    yield processes
    processes.end()


@pytest.fixture
def ann(processes):
    line = processes.connect(0, "ann")
    yield line
    line.close()


def joined(processes, line, *names, since=0):
    """The answers to Joins of these rooms."""
    answers = []
    for name in names:
        line.send({"type": JOIN, "room": name, "since": since})
        processes.settle()
        answers += [message for message in line.receive() if message["type"] in (SYNCED, ERROR)]
    return answers


def client_of(processes):
    (client,) = processes.runtimes[0].hub.clients()
    return client


def test_conversations_that_do_not_exist(processes, ann):
    names = [f"dm:id-ann:made-up-{number}" for number in range(60)]
    answers = joined(processes, ann, *names)
    assert [answer["type"] for answer in answers] == [SYNCED] * 60
    assert all(answer["recovered"] for answer in answers)
    assert not client_of(processes).floors
    hub = processes.runtimes[0].hub
    assert len(hub.rooms) == 1 and not hub.rooms._joining


def test_the_first_message_of_one_is_delivered_after_its_join(processes, ann):
    (answer,) = joined(processes, ann, "dm:id-ann:id-bob")
    assert (answer["type"], answer["seq"]) == (SYNCED, 0)
    bob = processes.connect(0, "bob")
    for text in ("one", "two"):
        bob.send({"type": DIRECT, "to": "ann", "data": text})
    processes.settle()
    heard = [(message["seq"], message["data"]) for message in ann.receive() if message["type"] == DIRECT]
    assert heard == [(1, "one"), (2, "two")]
    assert client_of_user(processes, "id-ann").floors == {"dm:id-ann:id-bob": 1}
    bob.close()


def client_of_user(processes, user_id):
    (client,) = processes.runtimes[0].hub.users.get(user_id).clients
    return client


def test_rooms_that_do_not_exist_and_more_ephemeral_ones_than_allowed(processes, ann):
    answers = joined(processes, ann, *(f"nowhere-{number}" for number in range(50)))
    assert {answer["code"] for answer in answers if answer["type"] == ERROR} == {"unknown_room"}
    joined(processes, ann, *(f"typing-{number}" for number in range(50)))
    hub = processes.runtimes[0].hub
    assert len(hub.rooms) == 6 and not hub.rooms._joining
