"""Many messages: the page keeps up, keeps little, and lets its reader read."""

import pytest
from playwright.sync_api import expect

from tests.browser.visitors import numbers
from tests.tokens import token

#: Messages that a user may send at once, and that the page keeps.
BURST, KEPT = 60, 400
CROWD = 12


@pytest.fixture
def ann(join):
    return join("Ann")


@pytest.fixture
def room(ann):
    """A room of its own for each test, and Ann is in it."""
    room = ann.make_room(f"Crowd {next(numbers)}")
    ann.turn_to_room(room)
    return room


@pytest.fixture
def crowd(site, sockets, room):
    """Plain socket clients in the room, a name each, who say a great deal at once; nobody's burst is used up."""
    drawn = next(numbers)
    speakers = [sockets(site.socket(token=token(f"Speaker {number} of {drawn}"))) for number in range(CROWD)]
    for speaker in speakers:
        speaker.send_json({"type": 6, "room": room})
        speaker.recv_json(type=8, room=room)
    return [Speaker(speaker, room) for speaker in speakers]


class Speaker:
    def __init__(self, socket, room):
        self._socket, self._room = socket, room

    def say(self, text):
        self._socket.send_json({"type": 2, "room": self._room, "data": text})


def flood(crowd, word, times):
    for number in range(times):
        for speaker in crowd:
            speaker.say(f"{word} {number}")


def shown_to(person, seq):
    """Wait until the log ends with this message; whose it is depends on whom the server read first."""
    expect(person.messages.last).to_have_attribute("data-seq", str(seq))


def watch_most_nodes(person):
    """Note in the page the largest number of message elements that there ever is."""
    person.page.evaluate(
        """() => {
            window.most = 0;
            const count = () => (most = Math.max(most, document.querySelectorAll("[data-testid=message]").length));
            const log = document.querySelector("[role=log]");
            new MutationObserver(count).observe(log, { childList: true, subtree: true });
        }"""
    )


def fill(ann, crowd):
    """Say so much that the log scrolls."""
    flood(crowd, "Filling", 5)
    expect(ann.messages).to_have_count(5 * CROWD)


def what_is_read(person):
    """The message near the upper edge of the log, and where it stands."""
    message = person.log.evaluate_handle(
        """log => {
            const { top } = log.getBoundingClientRect();
            const messages = [...log.querySelectorAll("[data-testid=message]")];
            return messages.find((message) => message.getBoundingClientRect().top > top + 50);
        }"""
    ).as_element()
    return message, top_of(message)


def top_of(message):
    return round(message.bounding_box()["y"])


def test_under_a_flood_the_newest_stays_visible_and_the_page_responsive(ann, crowd):
    watch_most_nodes(ann)
    flood(crowd, "First wave", BURST // 2)
    ann.say("I can still write")
    flood(crowd, "Second wave", BURST // 2 - 2)
    ann.sent("I can still write")
    shown_to(ann, CROWD * (BURST - 2) + 1)
    crowd[0].say("The very last word")
    expect(ann.message("The very last word")).to_be_in_viewport()
    expect(ann.messages).to_have_count(KEPT)
    assert ann.page.evaluate("most") <= KEPT
    assert ann.at_bottom
    expect(ann.jump).to_be_hidden()
    ann.wait_state("online")


def test_messages_pushed_out_by_a_flood_load_again_on_scrolling_up(ann, crowd):
    flood(crowd, "Wave", BURST - 2)
    shown_to(ann, CROWD * (BURST - 2))
    expect(ann.messages).to_have_count(KEPT)
    while (first := ann.messages.first.get_attribute("data-seq")) != "1":
        ann.log.evaluate("log => log.scrollTo(0, 0)")
        expect(ann.messages.first).not_to_have_attribute("data-seq", first)
    assert ann.messages.count() <= KEPT


def test_a_flood_is_not_announced_message_by_message(meet, room, crowd):
    ann = meet("Anna")
    ann.api("POST", f"rooms/{room}/join")
    ann.page.clock.install()
    ann.enter(room)
    ann.page.clock.fast_forward("00:10")
    expect(ann.log).to_have_attribute("aria-live", "polite")
    flood(crowd, "Too much to read out", BURST - 2)
    expect(ann.log).to_have_attribute("aria-live", "off")
    ann.page.clock.fast_forward("00:10")
    expect(ann.page.locator("[data-part=announcer]")).to_contain_text("new messages")


def test_a_reader_scrolled_up_stays_there_and_sees_the_count_of_new_messages(ann, crowd):
    fill(ann, crowd)
    assert ann.at_bottom
    ann.log.hover()
    ann.page.mouse.wheel(0, -600)
    expect(ann.jump).to_be_visible()
    expect(ann.jump).to_have_text("Jump to latest")
    read, before = what_is_read(ann)
    crowd[0].say("News")
    crowd[1].say("More news")
    expect(ann.jump).to_have_text("2 new messages")
    expect(ann.page).to_have_title(f"(2) {ann.title.inner_text()} · Chat")
    assert top_of(read) == before
    ann.jump.click()
    expect(ann.message("More news")).to_be_in_viewport()
    expect(ann.jump).to_be_hidden()
    expect(ann.page).to_have_title(f"{ann.title.inner_text()} · Chat")


def test_sending_a_message_scrolls_to_the_newest(ann, crowd):
    fill(ann, crowd)
    ann.log.evaluate("log => log.scrollTo(0, 0)")
    expect(ann.jump).to_be_visible()
    ann.say("Here I am again")
    expect(ann.message("Here I am again")).to_be_in_viewport()
    expect(ann.jump).to_be_hidden()


def test_scrolling_down_while_the_window_is_full(ann, crowd):
    flood(crowd, "Old", KEPT // CROWD)
    expect(ann.messages).to_have_count(KEPT // CROWD * CROWD)
    ann.log.evaluate("log => log.scrollTo(0, log.scrollHeight / 2)")
    expect(ann.jump).to_be_visible()
    read, before = what_is_read(ann)
    flood(crowd, "New", 10)
    expect(ann.jump).to_have_text(f"{10 * CROWD} new messages")
    assert top_of(read) == before
    assert ann.messages.count() <= KEPT
    said = (KEPT // CROWD + 10) * CROWD
    while (last := ann.messages.last.get_attribute("data-seq")) != str(said):
        ann.log.evaluate("log => log.scrollTo(0, log.scrollHeight)")
        expect(ann.messages.last).not_to_have_attribute("data-seq", last)


def test_a_user_is_found_in_a_large_roster(ann, crowd):
    expect(ann.page.locator("[data-part=people-count]")).to_have_text(str(CROWD + 1))
    search = ann.page.get_by_role("searchbox", name="Find people")
    search.fill("SPEAKER 7 OF")
    items = ann.roster.get_by_test_id("roster-item")
    expect(items).to_have_count(1)
    expect(items).to_contain_text("Speaker 7 of")
    search.fill("nobody at all")
    expect(ann.page.get_by_text("No people found")).to_be_visible()
