"""Two and three people talk: the lobby, direct messages, what is unread, who is here."""

import os
import signal
from contextlib import contextmanager

import pytest
from playwright.sync_api import expect


@contextmanager
def frozen(server):
    """Every process of `server` stands still meanwhile."""
    os.killpg(server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(server.pid, signal.SIGCONT)


@pytest.fixture
def ann(join):
    return join("Ann")


@pytest.fixture
def ben(join):
    return join("Ben")


def test_two_people_see_each_other_and_talk(ann, ben):
    for one, other in ((ann, ben), (ben, ann)):
        expect(one.roster_of(other.name)).to_be_visible()
    ann.say("Good morning!")
    ben.hears("Good morning!")
    expect(ben.message("Good morning!").locator(".fc-message__author")).to_have_text(ann.name)
    ben.say("早上好 🌞")
    ann.hears("早上好 🌞")


def test_an_own_message_is_pending_until_the_ack_and_never_doubled(site, ann, ben):
    with frozen(site):
        ann.say("On its way")
        pending = ann.message("On its way")
        expect(pending).to_have_attribute("data-state", "pending")
        expect(pending.get_by_text("Sending…")).to_be_visible()
        element = pending.element_handle()
    ann.sent("On its way")
    ben.hears("On its way")
    ben.say("It came.")
    ann.hears("It came.")  # after the echo of what ann said
    ann.hears("On its way", times=1)
    assert element.evaluate("(it) => it.isConnected"), "the message was drawn anew instead of confirmed"
    expect(ann.message("On its way").get_by_text("Sending…")).to_have_count(0)


def test_messages_of_one_author_stand_under_one_name(ann, ben):
    ann.turn_to(ben.name)
    for text in ("First", "Second"):
        ann.say(text)
    ben.turn_to(ann.name)
    ben.hears("Second")
    assert "fc-message--continued" not in ben.message("First").get_attribute("class")
    assert "fc-message--continued" in ben.message("Second").get_attribute("class")
    expect(ben.messages.locator(".fc-avatar:visible")).to_have_count(1)


def test_direct_messages_reach_their_two_users_alone(ann, ben, join):
    carl = join("Carl")
    ann.turn_to(ben.name)
    ann.say("Only for you")
    ben.conversation(ann.name).click()
    ben.hears("Only for you")
    ben.say("And back to you")
    ann.hears("And back to you")
    carl.say("Anybody?")
    ben.turn_to_lobby()
    ben.hears("Anybody?")
    ben.hears("Only for you", times=0)
    expect(carl.conversation(ann.name)).to_have_count(0)
    carl.hears("Only for you", times=0)


def test_unread_messages_are_counted_until_they_are_read(ann, ben):
    for one in ("One", "Two"):
        ann.turn_to(ben.name)
        ann.say(one)
    expect(ben.unread_of(ann.name)).to_have_text("2")
    expect(ben.roster_of(ann.name).get_by_test_id("unread")).to_have_text("2")
    expect(ben.page).to_have_title("(2) Chat")
    expect(ben.conversation(ann.name)).to_have_accessible_name(f"{ann.name}, Online, 2 unread messages")
    ben.conversation(ann.name).click()
    expect(ben.unread_of(ann.name)).to_be_hidden()
    expect(ben.page).to_have_title(f"{ann.name} · Chat")
    expect(ben.log.get_by_text("New", exact=True)).to_be_visible()
    ann.turn_to_lobby()
    ann.say("Back in the lobby")
    expect(ben.unread_of("Lobby")).to_have_text("1")
    expect(ben.page).to_have_title(f"(1) {ann.name} · Chat")


def test_a_second_tab_is_the_same_user(ann, ben):
    other = ann.second_tab()
    ann.say("From the first tab")
    other.hears("From the first tab")
    assert "fc-message--own" in other.message("From the first tab").get_attribute("class")
    expect(ben.roster_of(ann.name)).to_have_count(1)
    expect(other.roster_of(ann.name)).to_have_count(1)
    ann.turn_to(ben.name)
    ann.say("To Ben, from the first tab")
    other.conversation(ben.name).click()
    other.hears("To Ben, from the first tab")
    expect(other.unread_of(ben.name)).to_be_hidden()
    other.page.close()
    ann.say("Still here")
    ben.conversation(ann.name).click()
    ben.hears("Still here")
    expect(ben.roster_of(ann.name)).to_have_count(1)


def test_a_note_to_oneself(ann, ben):
    ann.roster_of(ann.name).click()
    expect(ann.page.get_by_text("Notes to yourself")).to_be_visible()
    ann.say("Buy bread")
    ann.sent("Buy bread")
    ann.hears("Buy bread", times=1)
    ben.hears("Buy bread", times=0)
