"""Requests to peers: their responses arrive, or the caller goes on without them after a moment."""

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
    """ask(1, "add", 2, 3): the response of process 1 to process 0; for None, the list of all responses."""

    def ask(place, *request):
        found = []
        caller = processes.runtimes[0].cluster
        origin = None if place is None else processes.runtimes[place].group_commit.origin
        if place is None:
            processes.spawn(lambda: found.append(caller._requests.call(None, *request)))
        else:
            processes.spawn(lambda: found.append(caller.ask(origin, *request)))
        processes.settle()
        (response,) = found
        return response

    for number, process in enumerate(processes.runtimes):
        process.cluster.handle_requests("add", lambda a, b, number=number: [number, a + b])
        process.cluster.handle_requests("fail", lambda: 1 / 0)
    return ask


def test_one_process_responds(ask):
    assert ask(1, "add", 2, 3) == [1, 5]
    assert ask(2, "add", 2, 3) == [2, 5]


def test_all_processes_respond(ask):
    assert sorted(ask(None, "add", 2, 3)) == [[1, 5], [2, 5]]


def test_a_lost_request_returns_nothing(processes, ask):
    processes.bus.every = 1
    assert ask(1, "add", 2, 3) is None
    processes.bus.every = 0
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_an_unknown_request_gets_no_response(processes, ask):
    assert ask(1, "unknown") is None
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_a_failing_function_affects_no_other_request(processes, ask):
    assert ask(1, "fail") is None
    processes.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_an_unknown_process_is_not_waited_for(processes, ask):
    now = processes.scheduler.clock.now
    found = []
    processes.spawn(lambda: found.append(processes.runtimes[0].cluster.ask(12345, "add", 2, 3)))
    processes.step(0)
    while not found:
        processes.step(0)
    assert found == [None]
    assert processes.scheduler.clock.now == now


def test_an_unresponsive_process_is_not_waited_for_until_it_is_seen_again(processes, ask):
    """Otherwise each client of a killed process would wait for it."""
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
