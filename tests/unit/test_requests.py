"""What a process asks of the others: it has their answers, or goes without after a moment."""

import pytest

from tests.house import House, LossyBus, quick_settings


@pytest.fixture
def house():
    house = House(3, quick_settings(), [], LossyBus())
    house.settle()
    yield house
    house.end()


@pytest.fixture
def ask(house):
    """ask(1, "add", 2, 3): what the first process is answered by process 1; a list of all answers for None."""

    def ask(place, *question):
        found = []
        asker = house.processes[0].cluster
        origin = None if place is None else house.processes[place].group_commit.origin
        if place is None:
            house.begin(lambda: found.append(asker._questions.ask(None, *question)))
        else:
            house.begin(lambda: found.append(asker.ask(origin, *question)))
        house.settle()
        (answer,) = found
        return answer

    for number, process in enumerate(house.processes):
        process.cluster.answers("add", lambda a, b, number=number: [number, a + b])
        process.cluster.answers("fail", lambda: 1 / 0)
    return ask


def test_one_answers(ask):
    assert ask(1, "add", 2, 3) == [1, 5]
    assert ask(2, "add", 2, 3) == [2, 5]


def test_all_answer(ask):
    assert sorted(ask(None, "add", 2, 3)) == [[1, 5], [2, 5]]


def test_without_an_answer_one_goes_on(house, ask):
    house.bus.every = 1
    assert ask(1, "add", 2, 3) is None
    house.bus.every = 0
    house.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_a_question_that_another_version_asks_is_not_answered(house, ask):
    assert ask(1, "what nobody knows") is None
    house.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_an_answer_that_fails_disturbs_nobody(house, ask):
    assert ask(1, "fail") is None
    house.settle()
    assert ask(1, "add", 2, 3) == [1, 5]


def test_who_is_not_there_is_not_waited_for(house, ask):
    now = house.turns.clock.now
    found = []
    house.begin(lambda: found.append(house.processes[0].cluster.ask(12345, "add", 2, 3)))
    house.step(0)
    while not found:
        house.step(0)
    assert found == [None]
    assert house.turns.clock.now == now


def test_who_did_not_answer_is_asked_again_only_once_it_has_been_heard(house, ask):
    """Of a process that was killed, every one of its clients would wait for it."""
    house.bus.every = 1
    assert ask(1, "add", 2, 3) is None
    now, found = house.turns.clock.now, []
    origin = house.processes[1].group_commit.origin
    house.begin(lambda: found.append(house.processes[0].cluster.ask(origin, "add", 2, 3)))
    while not found:
        house.step(0)
    assert found == [None]
    assert house.turns.clock.now == now
    house.bus.every = 0
    house.settle()
    assert ask(1, "add", 2, 3) == [1, 5]
