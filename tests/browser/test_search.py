"""Messages are found again: by their words, by their address."""

import re
from itertools import count

import pytest
from playwright.sync_api import expect

from tests.browser.past import Past
from tests.browser.test_history import lines, loaded, to_top
from tests.browser.test_layout import PHONE

#: A browser writes every answer of 400 and more to its console.
REFUSED = "the server responded with a status of 4"
numbers = count(1)


@pytest.fixture
def title():
    """A name that no room has yet."""
    return f"Library {next(numbers)}"


@pytest.fixture
def ann(meet):
    """Somebody who is not at the chat yet."""
    return meet("Ann")


def search(person, words, everywhere=False):
    """Look for `words`; returns where the results come."""
    if person.page.get_by_test_id("open-search").get_attribute("aria-expanded") == "false":
        person.page.get_by_test_id("open-search").click()
    if everywhere:
        person.page.get_by_label("All chats").check(force=True)
    person.page.get_by_test_id("search-field").fill(words)
    return person.page.get_by_test_id("search-result")


def marked(person, text):
    """Wait until the message is the one that was looked for, and in sight."""
    message = person.message(text)
    expect(message).to_be_in_viewport()
    expect(message).to_have_class(re.compile("fc-message--found"))
    expect(message).to_be_focused()


def time_of(message):
    """The message's time, which is the link to it."""
    return message.locator("a.fc-message__time")


def allow_the_clipboard(person):
    person.page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=person.url)


# -- by words


def test_a_found_message_is_opened_and_left_for_the_newest(past, ann, title):
    room = past.room(title, [*lines(1, 40), "The needle, thin as a hair", *lines(41, 300)])
    ann.api("POST", f"rooms/{room}/join")
    ann.enter(room)
    results = search(ann, "needle HAIR")
    expect(results).to_have_count(1)
    expect(results).to_contain_text("Somebody")
    expect(results.locator("mark")).to_have_text(["needle", "hair"])
    expect(ann.page.get_by_test_id("search-state")).to_have_text("1 message found")
    results.click()
    marked(ann, "The needle")
    expect(ann.message("Line 300 of")).to_have_count(0)
    expect(ann.page).to_have_url(re.compile("at=41$"))
    expect(ann.jump).to_have_text("Jump to latest")
    ann.jump.click()
    expect(ann.message("Line 300 of")).to_be_in_viewport()
    expect(ann.jump).to_be_hidden()
    ann.say("Live again")
    ann.sent("Live again")


def test_two_chinese_characters_find_a_message(past, ann, title):
    room = past.room(title, ["今天下午的发布还是三点吗？", "太好了", "明天再说"])
    ann.enter(room)
    results = search(ann, "发布")
    expect(results).to_have_count(1)
    expect(results.locator("mark")).to_have_text("发布")
    results.click()
    marked(ann, "今天下午")


def test_searching_everywhere_covers_exactly_the_users_rooms(past, ann, title):
    mine = past.room(f"{title} mine", ["A zeppelin over the lake"])
    past.room(f"{title} foreign", ["Another zeppelin"], kind="private")
    ann.api("POST", f"rooms/{mine}/join")
    ann.enter()
    results = search(ann, "zeppelin")
    expect(ann.page.get_by_test_id("search-state")).to_have_text("No messages found")
    search(ann, "zeppelin", everywhere=True)
    expect(results).to_have_count(1)
    expect(results).to_contain_text(f"{title} mine")
    results.click()
    expect(ann.title).to_have_text(f"{title} mine")
    marked(ann, "A zeppelin")
    expect(results).to_have_count(1)  # what was found stays beside what is looked at


def test_results_are_reached_and_opened_by_keyboard(past, ann, title):
    room = past.room(title, [f"Apple {n}" for n in range(30)])
    ann.enter(room)
    results = search(ann, "apple")
    expect(results).to_have_count(20)
    ann.page.keyboard.press("ArrowDown")
    ann.page.keyboard.press("ArrowDown")
    expect(results.nth(1)).to_be_focused()
    ann.page.keyboard.press("Enter")
    marked(ann, "Apple 28")
    ann.page.get_by_role("button", name="Show more").click()
    expect(results).to_have_count(30)
    ann.page.get_by_test_id("search-field").focus()
    ann.page.keyboard.press("Escape")
    ann.page.keyboard.press("Escape")
    expect(ann.page.get_by_test_id("search-field")).to_be_hidden()
    expect(ann.page.get_by_test_id("open-search")).to_be_focused()


def test_a_search_that_fails_can_be_tried_again(past, ann, title, console):
    console.expect("net::ERR_FAILED")
    room = past.room(title, ["Pear"])
    ann.enter(room)
    ann.page.route("**/chat/api/search?*", lambda route: route.abort())
    results = search(ann, "pear")
    expect(ann.page.get_by_test_id("search-state")).to_have_text("Couldn't reach the server.")
    ann.page.unroute_all()
    ann.page.get_by_role("button", name="Try again").click()
    expect(results).to_have_count(1)


def test_markup_in_search_results_is_text(past, ann, title):
    room = past.room(title, ["<img src=x onerror=alert(1)> plum <b>jam</b>"])
    ann.enter(room)
    results = search(ann, "plum")
    expect(results).to_contain_text("<img src=x onerror=alert(1)> plum <b>jam</b>")
    expect(ann.page.locator("img, b")).to_have_count(0)


def test_on_a_phone_a_result_leads_back_to_the_room(past, meet, title):
    ann = meet("Ann", **PHONE)
    room = past.room(title, [*lines(1, 80), "Quince", *lines(81, 160)])
    ann.enter(room)
    ann.page.get_by_test_id("open-search").tap()
    results = search(ann, "quince")
    results.tap()
    expect(ann.page.get_by_test_id("side")).to_be_hidden()
    marked(ann, "Quince")


# -- by address


def test_the_link_of_a_message_opens_it_in_a_new_tab(past, ann, title):
    allow_the_clipboard(ann)
    room = past.room(title, lines(1, 300))
    ann.enter(room)
    to_top(ann)
    loaded(ann, 201)
    message = ann.message("Line 210 of")
    message.hover()
    time_of(message).click()
    expect(ann.page.get_by_test_id("toast")).to_contain_text("Link copied")
    link = ann.page.evaluate("navigator.clipboard.readText()")
    assert link == time_of(message).get_attribute("href")
    assert "token" not in link
    fresh = type(ann)(ann.page.context.new_page(), ann.url, ann.name)
    fresh.page.goto(link)
    fresh.wait_state("online")
    expect(fresh.title).to_have_text(title)
    marked(fresh, "Line 210 of")
    fresh.page.reload()
    marked(fresh, "Line 210 of")


def test_a_link_to_a_message_opens_in_place_and_back_returns(past, ann, title):
    room = past.room(title, lines(1, 200))
    ann.enter()
    ann.turn_to(ann.name)
    ann.say(f"Look: {ann.link(room, 30)}")
    ann.sent("Look")
    ann.message("Look").get_by_role("link", name=re.compile("at=30")).click()
    marked(ann, "Line 30 of")
    expect(ann.title).to_have_text(title)
    ann.page.go_back()
    expect(ann.title).to_have_text(ann.name)
    ann.hears("Look")
    ann.page.go_forward()
    marked(ann, "Line 30 of")


def test_the_link_of_a_deleted_message_opens_its_neighbours(past, ann, title):
    room = past.room(title, lines(1, 5))
    ann.enter(room, at=4000)
    expect(ann.page.get_by_test_id("toast")).to_contain_text("That message no longer exists.")
    ann.hears("Line 5 of the story")


@pytest.mark.parametrize("room", ["No such room", "p-AAAAAAAAAAAA", "dm:somebody:else", "a/b", "%", ".."])
def test_a_link_to_nothing_shows_a_notice(room, ann, console):
    console.expect(REFUSED)
    ann.page.goto(ann.link(room, 3))
    ann.wait_here()
    expect(ann.notice).to_contain_text("This room doesn't exist, or you don't have access to it.")
    expect(ann.title).to_have_text("Lobby")
    expect(ann.page).to_have_url(ann.link())
    ann.notice.get_by_role("button", name="Dismiss").click()
    expect(ann.notice).to_be_hidden()


def test_a_link_survives_the_log_in_page(past, ann, title):
    room = past.room(title, lines(1, 100))
    ann.page.context.clear_cookies()
    ann.page.goto(ann.link(room, 12))
    ann.log_in()
    ann.wait_state("online")
    marked(ann, "Line 12 of")


def test_a_room_has_a_link(ann, title):
    ann.make_room(title)
    ann.enter()
    allow_the_clipboard(ann)
    ann.turn_to_room(title)
    menu = ann.page.get_by_test_id("room-menu")
    menu.locator("summary").click()
    menu.get_by_role("button", name="Copy link").click()
    expect(ann.page.get_by_test_id("toast")).to_contain_text("Link copied")
    assert ann.page.evaluate("navigator.clipboard.readText()") == ann.link(title)
    ann.turn_to_lobby()
    expect(ann.page).to_have_url(ann.link())
    ann.page.go_back()
    expect(ann.title).to_have_text(title)


def test_pruned_messages_are_not_requested(make_server, meet):
    server = make_server()
    ann = meet("Ann", at=server)
    with Past(server) as past:
        room = past.room("Cellar", lines(1, 120))
        row = past.history.room(room)
        past.history.prune(row.id, past.history.find(row.id, 60).ts + 1)
        kept = past.history.room(room).first_seq
        past.say(room, lines(121, 125))
    ann.enter(room, at=3)
    expect(ann.page.get_by_test_id("toast")).to_contain_text("That message no longer exists.")
    to_top(ann)
    expect(ann.page.get_by_test_id("older")).to_have_text("This is the start of the conversation.")
    assert ann.texts == lines(kept, 125)
