"""What a process asks of the others: it has their answers, or goes without after a moment."""

import pytest

from tests.in_process import LossyBus, Processes, quick_settings


@pytest.fixture
def processes():
    processes = Processes(3, quick_settings(), [], LossyBus())
    processes.settle()
    yield processes
    processes.end()


@pytest.fixture
def ask(processes):
    """ask(1, "add", 2, 3): what the first process is answered by process 1; a list of all answers for None."""

    def ask(place, *question):
        found = []
        asker = processes.runtimes[0].cluster
        origin = None if place is None else processes.runtimes[place].group_commit.origin
        if place is None:
            processes.spawn(lambda: found.append(asker._requests.call(None, *question)))
        else:
            processes.spawn(lambda: found.append(asker.ask(origin, *question)))
        processes.settle()
        (answer,) = found
        return answer

    for number, process in enumerate(processes.runtimes):
        process.cluster.handle_requests("add", lambda a, b, number=number: [number, a + b])
        process.cluster.handle_requests("fail", lambda: 1 / 0)
    return ask


def test_one_answers(ask):
    assert ask(1, "add", 2, 3) == [1, 5]
    assert ask(2, "add", 2, 3) == [2, 5]


def test_all_answer(ask):
    assert sorted(ask(None, "add", 2, 3)) == [[1, 5], [2, 5]]


def test_without_an_answer_one_goes_on(processes, ask):
    processes.bus.every = 1
    assert ask(1, "add", 2, 3) is None
    processes.bus.every = 0
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_a_question_that_another_version_asks_is_not_answered(processes, ask):
    assert ask(1, "what nobody knows") is None
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_an_answer_that_fails_disturbs_nobody(processes, ask):
    assert ask(1, "fail") is None
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_who_is_not_there_is_not_waited_for(processes, ask):
    now = processes.scheduler.clock.now
    found = []
    processes.spawn(lambda: found.append(processes.runtimes[0].cluster.ask(12345, "add", 2, 3)))
    processes.step(0)
    while not found:
        processes.step(0)
    assert found == [None]
    assert processes.scheduler.clock.now == now


def test_who_did_not_answer_is_asked_again_only_once_it_has_been_heard(processes, ask):
    """Of a process that was killed, every one of its clients would wait for it."""
    processes.bus.every = 1
    assert ask(1, "add", 2, 3) is None
    now, found = processes.scheduler.clock.now, []
    origin = processes.runtimes[1].group_commit.origin
    processes.spawn(lambda: found.append(processes.runtimes[0].cluster.ask(origin, "add", 2, 3)))
    while not found:
        processes.step(0)
    assert found == [None]
    assert processes.scheduler.clock.now == now
    processes.bus.every = 0
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]
