"""What a client has missed, found by where it stood: against processes that deliver as chat.rooms.group_commit does."""

from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chat.socketio import offsets
from chat.socketio.offsets import Cursor, RoomPosition
from chat.store.history import PUBLIC
from chat.store.io_missed import NOTHING, IoMissed
from chat.store.io_values import Ambiguous, ClientPosition
from chat.store.sql import SqlHistory
from chat.wire.envelope import direct_room
from tests.contract.speech import ADA, BOB, CY, direct, draft
from tests.contract.threads import run

pytestmark = pytest.mark.contract
#: The process that the client is on, and another one that knows nothing of it.
HERE, ELSEWHERE = 1, 2
ROOMS, PEERS = ["one", "two", "three"], {"bob": BOB, "cy": CY}
LIMIT = 25
numbers = count(1)


class Process:
    """Stores and delivers as a Writer does, to a client of Ada's; `events` is what she was told."""

    def __init__(self, history):
        self.history, self.origin, self.undelivered = history, HERE, set()
        self.names = {room: f"{room} {next(numbers)}" for room in ROOMS}
        self.rows = {room: history.create_room(name, PUBLIC, None) for room, name in self.names.items()}
        self.mark = history.changed(None)[0]
        self.last_pk = 0
        self.cursor = Cursor()
        self.cursor.progress = self
        #: {room: the last seq that was delivered, by name}
        self.gates = {}
        #: {room: (seq from which on she hears it)}
        self.floors = {}
        self.heard = set()
        #: (place, {(room, seq)} that she then has, floors, where she is in what a join tells her, what others have
        #: stored since the mark)
        self.events = []
        self.since_mark = set()

    # -- what happens

    def store(self, places, origin):
        drafts = [self._draft(place) for place in sorted(places, key=lambda place: (place in PEERS, place))]
        return [stored.message for stored in self.history.append(drafts, origin)]

    def _draft(self, place):
        if place in PEERS:
            return direct("Ada", sender=PEERS[place], to_id=ADA.id)
        return draft(room=self.names[place], sender=BOB)

    def say(self, places):
        messages = self.store(places, HERE)
        held = {}
        for message in messages:
            self.last_pk = max(self.last_pk, message.pk)
            if message.seq == self.last(message.room) + 1:
                self.deliver(message)
            else:
                held[message.room] = message
                self.undelivered.add(message.pk)
        for last in held.values():
            self.deliver_upto(last.room_id, last.room, last.seq)

    def say_elsewhere(self, places):
        self.since_mark |= set(self.store(places, ELSEWHERE))

    def hint(self, place):
        """The other process tells of all that it has said in one place; what is missing before it is read."""
        room = direct_room(ADA.id, PEERS[place].id) if place in PEERS else self.names[place]
        told = [message for message in self.since_mark if message.room == room]
        if told:
            last = max(told, key=lambda message: message.seq)
            self.deliver_upto(last.room_id, room, last.seq)

    def look(self):
        mark, rows = self.history.changed(self.mark)
        for row in rows:
            if row.name in self.gates or row.name.startswith("dm:"):
                self.deliver_upto(row.id, row.name, row.last_seq)
        self.mark, self.since_mark = mark, set()

    def deliver_upto(self, room_id, room, seq):
        for message in self.history.after(room_id, self.last(room), 1000, seq):
            if message.origin == HERE:
                self.last_pk = max(self.last_pk, message.pk)
            self.deliver(message)

    def last(self, room):
        return self.gates.get(room, 0)

    def deliver(self, message):
        self.gates[message.room] = message.seq
        part = self.cursor.advance(message)
        if message.room in self.floors or message.room.startswith("dm:"):
            self.tell(message, part)

    def tell(self, message, part, joining=None):
        self.heard.add((message.room, message.seq))
        self.events.append((part, set(self.heard), dict(self.floors), joining, set(self.since_mark)))

    def join(self, place, since):
        room, row = self.names[place], self.rows[place]
        if room in self.floors:
            return
        if room not in self.gates:
            self.gates[room] = self.history.room(room).last_seq
        floor = self.floors[room] = self.gates[room] + 1
        for message in self.history.after(row.id, max(0, floor - 1 - since), since, floor - 1):
            self.tell(message, self.cursor.out_of_turn(message), RoomPosition(row.id, message.seq))

    # -- what is true

    def missed(self, event):
        """All that she has yet to hear, if she went after `event`."""
        _, heard, floors, joining, _ = event
        found = []
        for room in [*floors, *(direct_room(ADA.id, peer.id) for peer in PEERS.values())]:
            row = self.history.room(room)
            if row is None:
                continue
            for message in self.history.export(row.id):
                is_joining = joining is not None and joining.room_id == row.id
                is_owed = message.seq > joining.seq if is_joining else message.seq >= floors.get(room, 1)
                if is_owed and (room, message.seq) not in heard:
                    found.append(message)
        return found


@pytest.fixture
def history(engine):
    history = SqlHistory(engine, run)
    yield history
    history.close()


@pytest.fixture
def missed(engine):
    return IoMissed(engine, run)


def standing(part):
    position = offsets.read(offsets.write(HERE, 1, part).decode()).store
    return position and ClientPosition(
        position.origin, position.pk, position.mark, position.room, position.peer_pk, position.replayed
    )


places = st.lists(st.sampled_from([*ROOMS, *ROOMS, *PEERS]), min_size=1, max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("say"), places),
        st.tuples(st.just("say"), places),
        st.tuples(st.just("say_elsewhere"), places),
        st.tuples(st.just("hint"), st.sampled_from([*ROOMS, *PEERS])),
        st.tuples(st.just("look")),
        st.tuples(st.just("join"), st.sampled_from(ROOMS), st.integers(0, 4)),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, known=places, number=st.integers(0, 1000))
def test_all_is_found_or_nothing_wherever_it_went(history, missed, steps, known, number):
    process = Process(history)
    process.store(known, ELSEWHERE)
    process.mark = history.changed(None)[0]
    process.gates = {room: history.room(room).last_seq for room in process.names.values()}
    for place in PEERS:
        row = history.room(direct_room(ADA.id, PEERS[place].id))
        process.gates[direct_room(ADA.id, PEERS[place].id)] = row.last_seq if row else 0
    before = {room: last for room, last in process.gates.items() if room.startswith("dm:")}
    process.heard = {(room, seq) for room, last in before.items() for seq in range(1, last + 1)}
    for step, *args in steps:
        getattr(process, step)(*args)
    if process.events:
        check(process, missed, process.events[number % len(process.events)])


def check(process, missed, event):
    part, told, floors, _, since_mark = event
    stands = standing(part)
    if stands is None:
        return
    expected, heard = process.missed(event), {}
    found = missed.find(ADA.id, floors, stands, LIMIT)
    if isinstance(found, Ambiguous):
        doubtful = {message.room for message in since_mark if message.pk <= stands.heard}
        assert doubtful.issuperset(found.rooms)
        heard = {room: last_heard(told, room, floors) for room in found.rooms}
        found = missed.find(ADA.id, floors, stands, LIMIT, heard)
    if found is None:
        assert len(expected) > LIMIT
        return
    assert {*found.late, *found.messages} == set(expected)
    assert found.late == sorted(found.late, key=lambda message: message.seq)
    assert found.messages == sorted(found.messages, key=lambda message: message.pk)
    assert len(found.late) + len(found.messages) == len(expected)
    check_again(missed, floors, stands, heard, found)


def last_heard(told, room, floors):
    """What the process remembers: up to which seq she had heard a room."""
    return max([seq for name, seq in told if name == room], default=floors.get(room, 1) - 1)


def check_again(missed, floors, stands, heard, found):
    """From each message of what is told again the rest can be found."""
    told = [*found.late, *found.messages]
    for number, message in enumerate(told):
        if message in found.late:
            stands = again = stands._replace(at=RoomPosition(message.room_id, message.seq))
        else:
            again = stands._replace(retold=(message.pk, found.mark))
        rest = missed.find(ADA.id, floors, again, LIMIT, heard)
        assert rest is not None
        assert [*rest.late, *rest.messages] == told[number + 1 :]


# One by one


@pytest.fixture
def process(history):
    process = Process(history)
    process.gates = dict.fromkeys(process.names.values(), 0)
    for room in ROOMS:
        process.join(room, 0)
    process.say(["one"])
    return process


def find(missed, process, limit=LIMIT, heard=NOTHING, **changes):
    part, _, floors, *_ = process.events[-1]
    return missed.find(ADA.id, floors, standing(part)._replace(**changes), limit, heard)


def test_nothing_missed(missed, process):
    assert find(missed, process)[:2] == ([], [])


def test_more_than_the_limit_is_nothing(missed, process):
    process.floors.clear()
    process.say(["one"] * 5 + ["two"] * 5)
    assert len(find(missed, process, 10).messages) == 10
    assert find(missed, process, 9) is None


def test_what_is_kept_no_more_makes_it_nothing(missed, process, history):
    process.say_elsewhere(["two"] * 3)
    assert len(find(missed, process).messages) == 3
    later = history.after(process.rows["two"].id, 2, 1)[0].ts + 1
    history.prune(process.rows["two"].id, later)
    assert find(missed, process) is None


def test_what_was_pruned_long_ago_does_no_harm(missed, process, history):
    process.say(["two"] * 3)
    process.look()
    history.prune(process.rows["two"].id, 2**50)
    process.say(["one"])
    process.look()
    process.say(["one"])
    assert find(missed, process)[:2] == ([], [])


def test_messages_of_others_conversations_are_nobody_elses(missed, process, history):
    history.append([direct("Cy", sender=BOB, to_id=CY.id)], HERE)
    assert find(missed, process)[:2] == ([], [])


def test_a_room_of_which_there_is_no_more_is_passed_over(missed, process):
    part, _, floors, *_ = process.events[-1]
    found = missed.find(ADA.id, {**floors, "nowhere": 3}, standing(part), LIMIT)
    assert found[:2] == ([], [])


def test_what_others_said_is_missed_as_long_as_nothing_of_theirs_was_heard(missed, process):
    process.say_elsewhere(["two"])
    process.say(["one"])
    assert [message.room for message in find(missed, process).messages] == [process.names["two"]]


def test_of_the_room_that_was_heard_last_everything_is_known(missed, process):
    process.say_elsewhere(["one", "two"])
    process.look()
    process.say_elsewhere(["one"])
    process.hint("one")
    assert find(missed, process)[:2] == ([], [])
    process.say_elsewhere(["one", "two"])
    assert len(find(missed, process).messages) == 2


def test_where_nobody_knows_what_was_heard_it_says_so(missed, process):
    process.say_elsewhere(["two"])
    process.hint("two")
    process.say(["one"])
    assert find(missed, process) == Ambiguous([process.names["two"]])
    process.look()
    process.say(["one"])
    assert find(missed, process)[:2] == ([], [])


def test_what_the_process_remembers_is_no_doubt(missed, process):
    two = process.names["two"]
    process.say_elsewhere(["two"])
    process.hint("two")
    process.say_elsewhere(["two", "three"])
    process.say(["one"])
    assert find(missed, process) == Ambiguous([two])
    found = find(missed, process, heard={two: 1})
    assert sorted((message.room, message.seq) for message in found.messages) == [
        (process.names["three"], 1),
        (two, 2),
    ]
    assert [message.seq for message in find(missed, process, heard={two: 2}).messages] == [1]


def test_what_is_kept_no_more_is_missed_where_the_process_remembers_too(missed, process, history):
    two = process.names["two"]
    process.say_elsewhere(["two"] * 3)
    process.hint("two")
    process.say(["one"])
    later = history.after(process.rows["two"].id, 1, 1)[0].ts + 1
    history.prune(process.rows["two"].id, later)
    assert find(missed, process, heard={two: 0}) is None
