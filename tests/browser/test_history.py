"""What was said before: read on the way up, gone on with after a reconnect, marked as read."""

import json
import re
from itertools import count

import pytest
from playwright.sync_api import expect

from tests.browser.past import Past
from tests.waiting import until

#: Messages that the page asks for at once, and that it keeps and shows.
PAGE, KEPT = 50, 400
numbers = count(1)


@pytest.fixture
def title():
    """A name that no room has yet."""
    return f"Archive {next(numbers)}"


@pytest.fixture
def ann(meet):
    """Somebody who is not at the chat yet."""
    return meet("Ann")


@pytest.fixture
def ben(join):
    return join("Ben")


def lines(first, last):
    """Texts that tell their place."""
    return [f"Line {n} of the story" for n in range(first, last + 1)]


def line(person, number):
    return person.message(f"Line {number} of the story")


def to_top(person):
    """Scroll up as far as it goes for now."""
    person.log.evaluate("log => log.scrollTo(0, 0)")


def to_end(person):
    person.log.evaluate("log => log.scrollTo(0, log.scrollHeight)")


def top_of(locator):
    return round(locator.bounding_box()["y"])


def loaded(person, number):
    """Wait until a line is in the log, wherever it stands."""
    expect(line(person, number)).to_have_count(1)


class Wire:
    """Stands between a page and its server: notes what is sent, and can cut and hold back."""

    def __init__(self, person):
        self.sent, self.socket, self._deaf, self.is_down = [], None, set(), False
        person.page.route_web_socket(re.compile("/ws/chat"), self._open)

    def _open(self, socket):
        self.socket = socket
        if self.is_down:
            return socket.close(code=1012)
        server = socket.connect_to_server()
        socket.on_message(lambda text: self._to_server(server, text))
        server.on_message(lambda text: self._to_page(socket, text))

    def _to_server(self, server, text):
        self.sent.append(json.loads(text))
        server.send(text)

    def _to_page(self, socket, text):
        if json.loads(text)["type"] not in self._deaf:
            socket.send(text)

    def swallow(self, *types):
        """From now on, messages of these types do not reach the page."""
        self._deaf.update(types)

    def listen(self):
        """Let everything through again."""
        self._deaf.clear()

    def cut(self):
        """End the connection; the page comes back by itself."""
        self.listen()
        self.socket.close(code=1012)

    def go_down(self):
        """End the connection, and every other until `come_back`."""
        self.is_down = True
        self.cut()

    def come_back(self, person):
        self.is_down = False
        person.page.evaluate("dispatchEvent(new Event('online'))")  # or it would sit out its backoff
        person.wait_state("online", timeout=40_000)

    def of_type(self, kind):
        return [message for message in self.sent if message["type"] == kind]


# -- a reload, and the way up


def test_a_reload_shows_earlier_messages(past, ann, ben, title):
    room = past.room(title, lines(1, 3), members=[ann])
    ann.enter(room)
    ann.say("And I say")
    ann.sent("And I say")
    ann.page.reload()
    ann.wait_here()
    expect(ann.title).to_have_text(title)
    assert ann.texts == [*lines(1, 3), "And I say"]
    expect(ann.page.get_by_test_id("older")).to_have_text("This is the start of the conversation.")


def test_older_messages_load_on_scrolling_up_and_nothing_jumps(past, ann, title):
    room = past.room(title, lines(1, 230))
    ann.enter(room)
    expect(line(ann, 230)).to_be_in_viewport()
    loaded(ann, 181)
    assert ann.messages.count() <= 2 * PAGE
    first = 231 - ann.messages.count()
    for _ in range(4):
        to_top(ann)
        read = line(ann, first)
        before = top_of(read)
        loaded(ann, max(1, first - PAGE))
        assert abs(top_of(read) - before) <= 1
        first = 231 - ann.messages.count()
    to_top(ann)
    loaded(ann, 1)
    expect(ann.page.get_by_test_id("older")).to_have_text("This is the start of the conversation.")
    assert ann.texts == lines(1, 230)


def test_the_window_stays_small_however_far_one_scrolls(past, ann, title):
    room = past.room(title, lines(1, 1200))
    ann.enter(room)
    ann.page.evaluate(
        """() => {
            window.most = 0;
            const count = () => (most = Math.max(most, document.querySelectorAll("[data-testid=message]").length));
            const log = document.querySelector("[role=log]");
            new MutationObserver(count).observe(log, { childList: true, subtree: true });
        }"""
    )
    first = 1151
    while first > 1:
        to_top(ann)
        first = max(1, first - PAGE)
        loaded(ann, first)
    assert ann.texts == lines(1, KEPT)
    expect(ann.jump).to_have_text("Jump to latest")
    last = KEPT
    for _ in range(3):
        to_end(ann)
        last += PAGE
        loaded(ann, last)
    ann.jump.click()
    expect(line(ann, 1200)).to_be_in_viewport()
    expect(ann.jump).to_be_hidden()
    assert ann.page.evaluate("most") <= KEPT
    ann.api("POST", f"rooms/{room}/join")
    ann.enter(room)
    ann.say("Live again")
    ann.sent("Live again")


def test_scrolling_by_keys_reaches_the_beginning(past, ann, title):
    room = past.room(title, lines(1, 120))
    ann.enter(room)
    ann.log.focus()
    for first in (21, 1):
        ann.page.keyboard.press("Home")
        loaded(ann, first)
    expect(ann.log).to_be_focused()


def test_loaded_messages_are_not_announced(past, ann, title):
    room = past.room(title, lines(1, 200))
    ann.page.clock.install()
    ann.enter(room)
    ann.page.clock.fast_forward("00:10")
    expect(ann.log).to_have_attribute("aria-live", "polite")
    to_top(ann)
    loaded(ann, 101)
    expect(ann.log).to_have_attribute("aria-live", "off")
    ann.page.clock.fast_forward("00:10")
    expect(ann.log).to_have_attribute("aria-live", "polite")
    assert ann.page.locator("[data-part=announcer]").inner_text() == ""


# -- trouble


def test_a_failed_request_for_older_messages_is_repeated(past, ann, title, console):
    console.expect("net::ERR_FAILED")
    room = past.room(title, lines(1, 200))
    ann.enter(room)
    ann.page.route("**/messages?*", lambda route: route.abort())
    to_top(ann)
    edge = ann.page.get_by_test_id("older")
    expect(edge.get_by_role("alert")).to_have_text("Couldn't reach the server.")
    ann.page.unroute_all()
    edge.get_by_role("button", name="Try again").click()
    loaded(ann, 101)
    expect(edge.get_by_role("alert")).to_have_count(0)


def test_a_room_whose_messages_fail_to_load_says_so(past, ann, title, console):
    console.expect("net::ERR_FAILED")
    room = past.room(title, lines(1, 3))
    ann.without_first_answers()
    ann.page.route("**/messages?*", lambda route: route.abort())
    ann.enter(room)
    expect(ann.log.get_by_role("alert")).to_have_text("Couldn't reach the server.")
    ann.page.unroute_all()
    ann.log.get_by_role("button", name="Try again").click()
    ann.hears("Line 3 of the story")


def test_a_page_opened_without_a_server_loads_once_it_answers(past, ann, title, console):
    console.expect("net::ERR_FAILED", "WebSocket")
    past.room(title, lines(1, 3), members=[ann])
    wire = Wire(ann)
    wire.is_down = True
    ann.without_first_answers()
    ann.page.route("**/chat/api/**", lambda route: route.abort())
    ann.page.goto(ann.link())
    expect(ann.log.get_by_role("alert")).to_have_text("Couldn't reach the server.")
    ann.page.unroute_all()
    wire.come_back(ann)
    expect(ann.log.get_by_role("alert")).to_have_count(0)
    ann.turn_to_room(title)
    ann.hears("Line 3 of the story")


def test_while_messages_load_placeholders_are_shown(past, ann, title):
    room = past.room(title, lines(1, 3))
    waiting = []
    ann.without_first_answers()
    ann.page.route("**/messages?*", lambda route: waiting.append(route))
    ann.page.goto(ann.link(room))
    expect(ann.title).to_have_text(title)
    expect(ann.page.get_by_test_id("skeleton")).to_be_visible()
    expect(ann.log).to_have_attribute("aria-busy", "true")
    waiting[0].continue_()
    ann.page.unroute_all()
    ann.hears("Line 3 of the story")
    expect(ann.page.get_by_test_id("skeleton")).to_be_hidden()


# -- what is new


def read_position(person, room):
    """How far the server knows that somebody has read a room."""
    return next(one["read_seq"] for one in person.api("GET", "rooms")["rooms"] if one["name"] == room)


def test_a_room_opens_at_the_line_before_the_unread_messages(past, ann, title):
    room = past.room(title, members=[ann])
    past.say(room, lines(1, 100))
    ann.enter(room)
    ann.jump.click()
    expect(ann.unread_of(title)).to_be_hidden()
    until(lambda: read_position(ann, room) == 100)  # the page reports it a moment later
    ann.page.goto("about:blank")
    past.say(room, lines(101, 220))
    ann.enter(room)
    expect(ann.new_line).to_be_in_viewport()
    expect(ann.new_line).to_have_text(re.compile(r"New since \d\d:\d\d"))
    expect(line(ann, 101)).to_be_in_viewport()
    expect(line(ann, 220)).to_have_count(0)
    before = top_of(ann.new_line)
    past.say(room, ["Meanwhile"])
    expect(ann.jump).to_contain_text("new messages")
    assert top_of(ann.new_line) == before
    ann.jump.click()
    ann.hears("Meanwhile")
    expect(ann.message("Meanwhile")).to_be_in_viewport()
    expect(ann.unread_of(title)).to_be_hidden()
    ann.turn_to_lobby()
    ann.turn_to_room(title)
    expect(ann.message("Meanwhile")).to_be_in_viewport()
    expect(ann.new_line).to_have_count(0)


def test_the_unread_line_stays_while_reading_and_goes_when_one_sends(past, ann, title):
    room = past.room(title, members=[ann])
    past.say(room, lines(1, 3))
    ann.enter(room)
    expect(ann.new_line).to_be_visible()
    past.say(room, lines(4, 5))
    ann.hears("Line 5 of the story")
    expect(ann.new_line).to_have_count(1)
    expect(ann.messages.filter(has=ann.page.get_by_test_id("new-line"))).to_contain_text("Line 1 of")
    expect(ann.unread_of(title)).to_be_hidden()
    ann.say("I see")
    expect(ann.new_line).to_have_count(0)


def test_scrolling_down_marks_seen_messages_as_read(past, ann, title):
    room = past.room(title, members=[ann])
    past.say(room, lines(1, 300))
    wire = Wire(ann)
    ann.enter(room)
    unread = int(ann.unread_of(title).inner_text().rstrip("+"))
    assert unread > 60
    for number in (50, 100, 150, 200, 250):
        to_end(ann)
        loaded(ann, number + 10)
    to_end(ann)
    loaded(ann, 300)
    to_end(ann)
    expect(ann.unread_of(title)).to_be_hidden()
    ann.page.wait_for_timeout(1000)
    marks = [mark["seq"] for mark in wire.of_type(10)]
    assert marks == sorted(marks)
    assert marks[-1] == 300
    assert len(marks) < 20, "each message was marked by itself"
    ann.page.reload()
    ann.wait_here()
    expect(line(ann, 300)).to_be_in_viewport()
    expect(ann.new_line).to_have_count(0)


def test_looking_at_old_messages_marks_no_new_one_as_read(past, ann, title):
    room = past.room(title, lines(1, 200), members=[ann])
    past.say(room, lines(201, 400))
    ann.enter(room, at=20)
    expect(line(ann, 20)).to_be_in_viewport()
    expect(ann.unread_of(title)).to_have_text("99+")
    ann.page.reload()
    ann.wait_here()
    expect(ann.unread_of(title)).to_have_text("99+")


def test_messages_received_in_the_background_are_below_an_unread_line(ann, ben, title):
    room = ben.make_room(title)
    ann.api("POST", f"rooms/{room}/join")
    ann.enter(room)
    ann.say("I am off")
    ann.sent("I am off")
    ann.page.evaluate("document.hasFocus = () => false")
    ben.turn_to_room(title)
    ben.say("While you were away")
    ben.say("And more")
    expect(ann.unread_of(title)).to_have_text("2")
    ann.page.evaluate("delete document.hasFocus; dispatchEvent(new Event('focus'))")
    expect(ann.unread_of(title)).to_be_hidden()
    expect(ann.messages.filter(has=ann.page.get_by_test_id("new-line"))).to_contain_text(
        "While you were away"
    )


# -- after a reconnect


def test_after_a_reconnect_missed_messages_appear_once_and_in_order(ann, ben, title):
    room = ben.make_room(title)
    ann.api("POST", f"rooms/{room}/join")
    wire = Wire(ann)
    ann.enter(room)
    ben.turn_to_room(title)
    ben.say("Before")
    ann.hears("Before")
    wire.swallow(2, 4)
    ann.say("Sent, but the answer was lost")
    ben.hears("Sent, but the answer was lost")
    ben.say("Lost on the way")
    ben.sent("Lost on the way")
    wire.go_down()
    ann.wait_state("reconnecting")
    ann.say("Written while away")
    for number in range(5):
        ben.say(f"Missed {number}")
        ben.sent(f"Missed {number}")
    wire.come_back(ann)
    ann.sent("Written while away")
    ben.hears("Written while away")
    ben.say("After")
    ann.hears("After")
    missed = [f"Missed {number}" for number in range(5)]
    said = [
        "Before",
        "Sent, but the answer was lost",
        "Lost on the way",
        *missed,
        "Written while away",
        "After",
    ]
    assert ann.texts == ben.texts == said
    ids = [message["id"] for message in wire.of_type(2)]
    assert len(set(ids)) == 2, "what was sent again has another id"


def test_a_missed_direct_message_appears_after_the_reconnect(ann, ben):
    wire = Wire(ann)
    ann.enter()
    ann.turn_to(ben.name)
    ben.turn_to(ann.name)
    ben.say("First")
    ann.hears("First")
    wire.swallow(3)
    ben.say("Second")
    ben.sent("Second")
    wire.cut()
    ann.wait_state("online", timeout=30_000)
    ann.hears("Second")
    ben.say("Third")
    ann.hears("Third")
    assert ann.texts == ["First", "Second", "Third"]


def test_a_gap_is_filled_while_the_connection_lasts(ann, ben):
    wire = Wire(ann)
    ann.enter()
    ann.turn_to(ben.name)
    ben.turn_to(ann.name)
    ben.say("First")
    ann.hears("First")
    wire.swallow(3)
    ben.say("Second")
    ben.sent("Second")
    wire.listen()
    ben.say("Third")
    ann.hears("Third")
    assert ann.texts == ["First", "Second", "Third"]


def test_after_missing_too_much_the_page_says_so_and_keeps_its_place(make_server, meet):
    server = make_server(CHAT_REPLAY_MAX=5)
    ann = meet("Ann", at=server)
    with Past(server) as past, server.socket("bob") as bob:
        room = past.room("Long talk", members=[ann])
        bob.send_json({"type": 6, "room": room})
        wire = Wire(ann)
        ann.enter(room)
        past.say(room, lines(1, 3))
        ann.hears("Line 3 of the story")
        wire.go_down()
        ann.wait_state("reconnecting")
        past.say(room, lines(4, 120))
        bob.recv_json(type=2, data=lines(120, 120)[0])  # by now the server knows of it
        wire.come_back(ann)
        expect(ann.notice).to_contain_text("You missed a lot of messages.")
        expect(ann.new_line).to_be_in_viewport()
        expect(line(ann, 4)).to_be_in_viewport()
        ann.jump.click()
        expect(line(ann, 120)).to_be_in_viewport()


def test_a_message_that_cannot_be_stored_waits_and_shows_why(ann, ben, title):
    room = ben.make_room(title)
    ann.api("POST", f"rooms/{room}/join")
    refusals = []

    def fail_twice(socket):
        server = socket.connect_to_server()
        socket.on_message(lambda text: refuse(socket, json.loads(text)) or server.send(text))

    def refuse(socket, message):
        if message["type"] != 2 or len(refusals) == 2:
            return False
        refusals.append(message["id"])
        error = {"type": 0, "user": None, "data": "It could not be stored.", "code": "store_unavailable"}
        socket.send(json.dumps({**error, "ref": message["id"]}))
        return True

    ann.page.route_web_socket(re.compile("/ws/chat"), fail_twice)
    ann.page.clock.install()
    ann.enter(room)
    ann.say("Keep this")
    waiting = ann.message("Keep this")
    expect(waiting).to_contain_text("It could not be stored.")
    expect(waiting).to_have_attribute("data-state", "pending")
    for _ in range(2):
        ann.page.clock.fast_forward("00:05")
    ann.sent("Keep this")
    expect(waiting).not_to_contain_text("It could not be stored.")
    ben.turn_to_room(title)
    ben.hears("Keep this", times=1)
    assert len(set(refusals)) == 1


# -- a crowd


def test_a_reader_scrolled_up_is_not_moved_by_many_messages(past, ann, title):
    room = past.room(title, lines(1, 300))
    ann.api("POST", f"rooms/{room}/join")
    ann.enter(room)
    loaded(ann, 300)
    for first in (201, 151, 101, 51):
        to_top(ann)
        loaded(ann, first)
    ann.log.evaluate("log => log.scrollTo(0, log.scrollHeight / 3)")
    expect(ann.jump).to_be_visible()
    number = int(ann.log.evaluate_handle(FIRST_IN_SIGHT).get_attribute("data-seq"))
    before = top_of(line(ann, number))
    past.say(room, lines(301, 700))
    expect(ann.unread_of(title)).to_have_text("99+")
    expect(ann.jump).to_contain_text("400 new messages")
    assert top_of(line(ann, number)) == before
    assert ann.messages.count() <= KEPT
    ann.jump.click()
    expect(line(ann, 700)).to_be_in_viewport()
    past.say(room, ["The last word"])
    ann.hears("The last word")
    expect(ann.message("The last word")).to_be_in_viewport()


FIRST_IN_SIGHT = """log => {
    const { top } = log.getBoundingClientRect();
    return [...log.querySelectorAll("[data-seq]")].find((it) => it.getBoundingClientRect().top > top + 20);
}"""
