"""Rooms: made, found, joined and left; who is in them; what is unread there, on every device."""

import re
from itertools import count

import pytest
from playwright.sync_api import expect

from tests.browser.past import Past

NO_SUCH_ROOM = "This room doesn't exist, or you don't have access to it."
#: A browser writes every answer of 400 and more to its console.
REFUSED = "the server responded with a status of 4"
numbers = count(1)


@pytest.fixture
def ann(join):
    return join("Ann")


@pytest.fixture
def ben(join):
    return join("Ben")


@pytest.fixture
def title():
    """A name that no room has yet."""
    return f"Garden {next(numbers)}"


def dialog(person, name):
    return person.page.get_by_test_id(f"{name}-dialog")


def make_room(person, title, kind="Public", topic=""):
    """Fill in the dialog that makes a room."""
    person.page.get_by_test_id("make-room").click()
    form = dialog(person, "create")
    form.get_by_label("Name").fill(title)
    form.get_by_label("Topic").fill(topic)
    form.get_by_label(kind).check()
    form.get_by_role("button", name="Create room").click()
    return form


def invite(person, name):
    person.show_people()
    person.page.get_by_test_id("invite").click()
    form = dialog(person, "person")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Name").press("Enter")
    return form


def choose(person, item):
    """Choose an item of the room's menu."""
    person.page.get_by_test_id("room-menu").locator("summary").click()
    person.page.get_by_test_id("room-menu").get_by_role("button", name=item).click()


# -- made, found, joined


def test_a_room_is_created_found_and_joined(ann, ben, title):
    make_room(ann, title, topic="What grows where")
    expect(ann.title).to_have_text(title)
    expect(ann.page.locator(".fc-room__topic")).to_have_text("What grows where")
    expect(ann.input).to_be_focused()
    expect(ann.page).to_have_url(re.compile(r"/chat\?room=Garden"))
    expect(ben.conversation(title)).to_have_count(0)
    ben.page.get_by_test_id("find-rooms").click()
    ben.page.keyboard.type(title.upper())
    found = ben.page.get_by_test_id("directory-item")
    expect(found).to_have_count(1)
    expect(found).to_contain_text("What grows where")
    found.click()
    expect(dialog(ben, "directory")).to_be_hidden()
    expect(ben.title).to_have_text(title)
    for one in (ann, ben):
        expect(one.conversation(title)).to_have_attribute("aria-current", "true")
    ben.say("Beans here")
    ann.hears("Beans here")
    ann.say("And peas there")
    ben.hears("And peas there")
    expect(ann.roster.get_by_test_id("roster-item")).to_have_count(2)


def test_messages_of_one_room_do_not_appear_in_another(ann, ben, title):
    room = ann.make_room(title)
    ann.turn_to_room(title)
    inside, outside = f"Inside {title}", f"Outside {title}"
    ann.say(inside)
    ann.sent(inside)
    ben.say(outside)
    ben.sent(outside)
    assert ann.texts == [inside]
    ben.hears(inside, times=0)
    ben.api("POST", f"rooms/{room}/join")
    ben.turn_to_room(title)
    ben.hears(inside)
    ben.hears(outside, times=0)


def test_a_taken_name_is_reported_in_the_dialog(ann, title, console):
    console.expect(REFUSED)
    ann.make_room(title)
    form = make_room(ann, title.lower())
    expect(form.get_by_role("alert")).to_contain_text("room")
    expect(form).to_be_visible()
    form.get_by_label("Name").fill(f"{title} too")
    form.get_by_label("Name").press("Enter")
    expect(ann.title).to_have_text(f"{title} too")


def test_a_room_can_be_previewed_before_joining(past, ann, title):
    room = past.room(title, ["Said before"])
    ann.page.goto(ann.link(room))
    ann.hears("Said before")
    expect(ann.input).to_be_hidden()
    expect(ann.page.get_by_test_id("join-bar")).to_contain_text(f"You're viewing {title}.")
    expect(ann.conversation(title)).to_have_count(0)
    ann.page.get_by_role("button", name="Join room").click()
    expect(ann.conversation(title)).to_have_count(1)
    ann.say("Here I am")
    ann.sent("Here I am")
    assert ann.texts == ["Said before", "Here I am"]


def test_a_search_without_results_offers_to_create_a_room(ann, title):
    ann.page.get_by_test_id("find-rooms").click()
    directory = dialog(ann, "directory")
    ann.page.keyboard.type(f"{title} nowhere")
    expect(directory.get_by_role("status")).to_have_text("No rooms found")
    directory.get_by_role("button", name="Create a room…").click()
    expect(directory).to_be_hidden()
    expect(dialog(ann, "create").get_by_label("Name")).to_have_value(f"{title} nowhere")
    ann.page.keyboard.press("Escape")
    expect(dialog(ann, "create")).to_be_hidden()


# -- private rooms


def test_only_invited_users_see_a_private_room(ann, ben, join, title, console):
    console.expect(REFUSED)
    carl = join("Carl")
    make_room(ann, title, kind="Private")
    expect(ann.title).to_have_text(title)
    ann.say("Just us")
    form = invite(ann, ben.name)
    expect(form.get_by_role("status")).to_have_text(f"{ben.name} was invited.")
    ann.page.keyboard.press("Escape")
    expect(ben.conversation(title)).to_have_count(0)
    ben.accept(title)
    expect(ben.conversation(title)).to_have_accessible_name(re.compile(f"{title}, private"))
    ben.say("Thank you")
    ann.hears("Thank you")
    link = ann.page.url
    assert title.split()[0] not in link, "the address tells what the room is called"
    carl.page.goto(link)
    expect(carl.notice).to_contain_text(NO_SUCH_ROOM)
    expect(carl.title).to_have_text("Lobby")
    expect(carl.page).to_have_url(carl.link())


def test_inviting_an_unknown_user_shows_an_error(ann, title, console):
    console.expect(REFUSED)
    make_room(ann, title, kind="Private")
    form = invite(ann, "Nobody At All")
    expect(form.get_by_role("alert")).to_contain_text("no user with that name")
    expect(form).to_be_visible()


def test_leaving_a_private_room_asks_first(ann, title):
    make_room(ann, title, kind="Private")
    choose(ann, "Leave room")
    question = dialog(ann, "leave")
    expect(question).to_contain_text(f"Leave {title}?")
    question.get_by_role("button", name="Stay").click()
    expect(ann.title).to_have_text(title)
    choose(ann, "Leave room")
    question.get_by_role("button", name="Leave", exact=True).click()
    expect(ann.title).to_have_text("Lobby")
    expect(ann.conversation(title)).to_have_count(0)
    expect(ann.notice).to_be_hidden()


def test_a_removed_member_is_told(ann, ben, title):
    make_room(ann, title, kind="Private")
    invite(ann, ben.name)
    ann.page.keyboard.press("Escape")
    ben.accept(title)
    ben.say("Hello")
    expect(ann.roster_of(ben.name)).to_be_visible()
    ann.page.get_by_role("button", name=f"Manage {ben.name}").click()
    dialog(ann, "member").get_by_role("button", name="Make admin (can manage members)").click()
    expect(ann.roster_of(ben.name)).to_have_accessible_name(re.compile("admin"))
    ben.page.get_by_test_id("open-people").click()
    ben.page.get_by_test_id("open-people").click()
    expect(ben.page.get_by_test_id("invite")).to_be_visible()
    ann.page.get_by_role("button", name=f"Manage {ben.name}").click()
    dialog(ann, "member").get_by_role("button", name="Remove from room").click()
    expect(ben.notice).to_contain_text(f"You're no longer in {title}.")
    expect(ben.title).to_have_text("Lobby")
    expect(ben.conversation(title)).to_have_count(0)
    expect(ann.roster_of(ben.name)).to_have_count(0)


def test_leaving_a_room_in_one_tab_leaves_it_in_the_other(ann, title):
    ann.make_room(title)
    other = ann.second_tab()
    for one in (ann, other):
        one.turn_to_room(title)
    choose(ann, "Leave room")
    for one in (ann, other):
        expect(one.title).to_have_text("Lobby")
        expect(one.conversation(title)).to_have_count(0)
    expect(other.notice).to_contain_text(f"You're no longer in {title}.")
    expect(ann.notice).to_be_hidden()


def test_the_lobby_cannot_be_left(ann):
    ann.page.get_by_test_id("room-menu").locator("summary").click()
    expect(ann.page.get_by_role("button", name="Copy link")).to_be_visible()
    expect(ann.page.get_by_role("button", name="Leave room")).to_be_hidden()
    expect(ann.page.get_by_role("button", name="Name and topic…")).to_be_hidden()


def test_a_new_topic_appears_for_every_member(ann, ben, title):
    room = ann.make_room(title)
    ben.api("POST", f"rooms/{room}/join")
    for one in (ann, ben):
        one.turn_to_room(title)
    choose(ann, "Name and topic…")
    dialog(ann, "about").get_by_label("Topic").fill("<b>Slugs</b>")
    ann.page.keyboard.press("Enter")
    for one in (ann, ben):
        expect(one.page.locator(".fc-room__topic")).to_have_text("<b>Slugs</b>")


# -- people


def test_offline_members_are_listed_in_the_panel(past, ann, ben, title):
    room = past.room(title, by="Gardener")
    for one in (ann, ben):
        one.api("POST", f"rooms/{room}/join")
    ann.turn_to_room(title)
    ben.turn_to_room(title)
    ann.show_people()
    expect(ann.roster_of(ben.name)).to_be_visible()
    away = ann.page.get_by_test_id("away").get_by_test_id("roster-item")
    expect(away).to_have_accessible_name("Gardener, Offline, owner")
    ben.page.close()
    expect(away).to_have_count(2)
    expect(ann.roster_of(ben.name)).to_have_count(0)


def test_an_offline_user_can_be_written_to(ann, meet, console):
    console.expect(REFUSED)
    zoe = meet("Zoe")
    ann.page.get_by_test_id("write-to").click()
    form = dialog(ann, "person")
    form.get_by_label("Name").fill("Nobody At All")
    ann.page.keyboard.press("Enter")
    expect(form.get_by_role("alert")).to_contain_text("no user with that name")
    form.get_by_label("Name").fill(zoe.name.lower())
    ann.page.keyboard.press("Enter")
    expect(ann.title).to_have_text(zoe.name)
    expect(ann.input).to_be_focused()
    ann.say("Read this when you come")
    ann.sent("Read this when you come")
    zoe.enter()
    expect(zoe.unread_of(ann.name)).to_have_text("1")
    zoe.conversation(ann.name).click()
    zoe.hears("Read this when you come")
    ann.page.reload()
    ann.wait_here()
    expect(ann.title).to_have_text(zoe.name)
    ann.hears("Read this when you come")


def test_conversations_are_listed_after_a_reload(ann, ben, join):
    carl = join("Carl")
    for other in (ben, carl):
        ann.turn_to(other.name)
        ann.say(f"Hello {other.name}")
        ann.sent(f"Hello {other.name}")
        ann.turn_to_lobby()
    ann.page.reload()
    ann.wait_here()
    people = ann.page.get_by_test_id("people-list").get_by_test_id("conversation-item")
    expect(people).to_have_count(2)
    expect(people.first).to_contain_text(carl.name)
    people.last.click()
    ann.hears(f"Hello {ben.name}")


# -- unread, everywhere


def test_rooms_count_unread_messages_and_mentions(ann, ben, title):
    room = ann.make_room(title)
    ben.api("POST", f"rooms/{room}/join")
    ben.turn_to_room(title)
    ben.say("One")
    ben.say(f"Two, @{ann.name}!")
    expect(ann.unread_of(title)).to_have_text("2")
    expect(ann.mentions_in(title)).to_have_text("@")
    expect(ann.conversation(title)).to_have_accessible_name(f"{title}, 2 unread messages, 1 mention")
    expect(ann.page).to_have_title("(2) Chat")
    ann.turn_to_room(title)
    expect(ann.unread_of(title)).to_be_hidden()
    expect(ann.mentions_in(title)).to_be_hidden()
    expect(ann.page).to_have_title(f"{title} · Chat")


def test_a_message_read_on_one_device_is_read_on_all(site, ann, ben, meet, make_page, title):
    room = ann.make_room(title)
    ben.api("POST", f"rooms/{room}/join")
    page = make_page()
    page.goto(f"{site.url}/login")
    elsewhere = type(ann)(page, site.url, ann.name)
    elsewhere.log_in()
    tab, device = ann.second_tab(), elsewhere.wait_here()
    ben.turn_to_room(title)
    ben.say("News")
    ben.say(f"More news, @{ann.name}")
    for one in (tab, device):
        expect(one.unread_of(title)).to_have_text("2")
        expect(one.mentions_in(title)).to_be_visible()
    ann.page.bring_to_front()
    ann.turn_to_room(title)
    for one in (tab, device):
        expect(one.unread_of(title)).to_be_hidden()
        expect(one.mentions_in(title)).to_be_hidden()
    device.page.reload()
    device.wait_here()
    expect(device.conversation(title)).to_be_visible()
    expect(device.unread_of(title)).to_be_hidden()


# -- many rooms, and trouble


def test_a_room_is_found_among_many(make_server, meet):
    server = make_server(CHAT_MAX_ROOMS_PER_CLIENT=4)
    ann = meet("Ann", at=server)
    with Past(server) as past:
        for number in range(60):
            past.room(f"Room {number:02}", members=[ann])
        ann.enter()
        items = ann.page.get_by_test_id("room-list").get_by_test_id("conversation-item")
        expect(items).to_have_count(61)
        filter_field = ann.page.get_by_test_id("list-filter")
        filter_field.fill("room 4")
        expect(items).to_have_count(10)
        filter_field.fill("room 42")
        filter_field.press("Enter")
        expect(ann.title).to_have_text("Room 42")
        expect(items).to_have_count(61)
        # More rooms than one socket may join: the one that is looked at is always among them.
        for number in (3, 8, 15, 42):
            ann.turn_to_room(f"Room {number:02}")
            ann.say(f"In {number}")
            ann.sent(f"In {number}")
        past.say("Room 50", ["Psst"])
        ann.page.reload()
        ann.wait_here()
        ann.page.get_by_role("button", name="Unread", exact=True).click()
        expect(items).to_have_count(2)
        expect(ann.unread_of("Room 50")).to_have_text("1")


def test_an_outdated_room_list_removes_no_room(ann, title):
    held = []
    ann.without_first_answers()
    ann.page.route("**/chat/api/rooms", lambda route: hold_first(route, held))
    ann.page.reload()
    ann.wait_state("online")
    expect(ann.title).to_have_text("Lobby")
    answer = held[0].fetch()  # written before there was the room
    make_room(ann, title)
    expect(ann.title).to_have_text(title)
    ann.say("Still here")
    held[0].fulfill(response=answer)
    ann.sent("Still here")
    expect(ann.page.get_by_test_id("room-list").get_by_test_id("conversation-item")).to_have_count(2)
    expect(ann.title).to_have_text(title)
    expect(ann.notice).to_be_hidden()


def hold_first(route, held):
    """Keep the first answer of the list back; the others go on their way."""
    if held or route.request.method != "GET":
        return route.continue_()
    held.append(route)


def test_a_failed_request_for_the_room_list_is_repeated(ann, console, title):
    console.expect("net::ERR_FAILED")
    ann.make_room(title)
    ann.without_first_answers()
    ann.page.route("**/chat/api/rooms", lambda route: route.abort())
    ann.page.reload()
    ann.wait_state("online")
    failure = ann.page.get_by_test_id("list-failure")
    expect(failure).to_contain_text("Couldn't reach the server.")
    ann.page.unroute_all()
    failure.get_by_role("button", name="Try again").click()
    expect(ann.conversation(title)).to_be_visible()
    expect(failure).to_be_hidden()
