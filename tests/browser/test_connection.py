"""The connection as the reader lives it: reloads, restarts, new tokens, the end."""

import json
import os
import re
import signal

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import QUIET
from tests.browser.visitors import Visitors
from tests.servers import Server

#: What a browser writes to its console while the server is away; there is no way to keep it from that.
SERVER_AWAY = ("net::ERR_", "WebSocket connection to")


@pytest.fixture(scope="module")
def steady():
    """A server with the usual grace, whose tokens live as short as they can: 10 s."""
    with Server("gunicorn-gevent", env={**QUIET, "CHAT_TOKEN_TTL": 10}) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def fern(browser, steady):
    """Somebody who is here from the first test on, so that the last one need not wait for a token's end."""
    with Visitors(browser, steady.url) as some:
        person = some.meet("Fern")
        person.sockets = sockets_of(person)
        yield person.enter()


@pytest.fixture
def ann(join):
    return join("Ann")


@pytest.fixture
def ben(join):
    return join("Ben")


def watch_roster(person, name):
    """Note in the page every change of whether `name` is in the roster, beginning with now."""
    person.page.evaluate(
        """name => {
            const roster = document.querySelector("[data-testid=roster]");
            const isHere = () => Boolean(roster.querySelector(`[title="${name}"]`));
            window.seen = [isHere()];
            new MutationObserver(() => isHere() !== seen.at(-1) && seen.push(isHere()))
                .observe(roster, { childList: true, subtree: true });
        }""",
        name,
    )


def nobody_any_more(past, person):
    """Have the site forget somebody, who is gone by then."""
    user_id = person.id
    person.page.close()
    past.users.delete(user_id)


def stop_the_clock(person):
    """From now on no timer of the page goes off."""
    person.page.clock.pause_at(person.page.evaluate("Date.now()") + 100)


def sockets_of(person):
    """A list to which every socket that the page opens from now on is added."""
    opened = []
    person.page.on("websocket", lambda socket: opened.append(socket.url))
    return opened


def no_rest_for(person):
    """Give the page every reason to connect again: hours pass, the network is back, so is the reader."""
    page = person.page
    page.clock.fast_forward("02:00:00")
    page.evaluate("for (const name of ['online', 'focus']) dispatchEvent(new Event(name))")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.clock.fast_forward("02:00:00")


def test_a_reload_is_seen_by_nobody(steady, join):
    ann, ben = join("Ann", at=steady), join("Ben", at=steady)
    expect(ben.roster_of(ann.name)).to_be_visible()
    watch_roster(ben, ann.name)
    ann.page.reload()
    ann.wait_here().say("I never left")
    ben.hears("I never left")
    assert ben.page.evaluate("seen") == [True]


@pytest.mark.parametrize(
    ("how", "words"),
    [(signal.SIGTERM, "The server is restarting."), (signal.SIGKILL, "Connection lost.")],
)
def test_the_page_survives_a_restart_of_the_server(how, words, make_server, meet, join, console):
    console.expect(*SERVER_AWAY)
    server = make_server()
    ann, ben = meet("Ann", at=server), join("Ben", at=server)
    ann.page.clock.install()
    ann.enter()
    stop_the_clock(ann)  # so that Ben is the first to be back, and hears all that she says
    os.killpg(server.pid, how)  # the server's own process group
    ann.wait_state("reconnecting")
    expect(ann.connection).to_contain_text(words)
    ann.say("Written into the void")
    expect(ann.message("Written into the void")).to_have_attribute("data-state", "pending")
    server.wait_exit()
    server.restart()
    ben.wait_state("online", timeout=30_000)
    ann.connection.get_by_role("button", name="Retry now").click()
    ann.page.clock.resume()
    ann.wait_state("online")
    ann.sent("Written into the void")
    ann.say("And after it")
    for person in (ann, ben):
        person.hears("And after it")
        person.hears("Written into the void", times=1)
        expect(person.roster_of(ann.name)).to_have_count(1)


def test_a_message_whose_ack_was_lost_is_resent_and_received_once(meet, ben):
    ann = meet("Ann")
    lost = []

    def cut(socket):
        server = socket.connect_to_server()
        server.on_message(lambda text: heard(socket, text))

    def heard(socket, text):
        if '"type":4' not in text or lost:
            return socket.send(text)
        lost.append(text)
        socket.close(code=1012)

    ann.page.route_web_socket(re.compile("/ws/chat"), cut)
    ann.enter().say("Twice on the wire")
    ann.sent("Twice on the wire")
    assert lost
    ann.say("The end")
    ben.hears("The end")
    for person in (ann, ben):
        person.hears("Twice on the wire", times=1)


def test_a_kicked_user_is_told_and_does_not_reconnect(site, meet):
    ann = meet("Ann")
    ann.page.clock.install()
    ann.enter()
    opened = sockets_of(ann)
    site.cli("kick", ann.name)
    ann.wait_state("kicked")
    expect(ann.connection).to_contain_text("removed")
    expect(ann.input).to_be_disabled()
    expect(ann.page.locator("[data-part=connection-announcer]")).to_contain_text("removed")
    no_rest_for(ann)
    ann.wait_state("kicked")
    assert opened == []


def test_a_log_out_in_another_tab_ends_this_one(site, meet, console):
    console.expect("status of 401")
    ann = meet("Ann")
    ann.page.clock.install()
    ann.enter()
    other = ann.second_tab()
    opened = sockets_of(ann)
    other.log_out()
    ann.page.clock.fast_forward("00:02")
    ann.wait_state("signed_out")
    expect(ann.connection).to_contain_text("You're logged out.")
    expect(ann.input).to_be_disabled()
    no_rest_for(ann)
    assert opened == []
    ann.connection.get_by_role("link", name="Log in").click()
    expect(ann.page).to_have_url(f"{site.url}/login?next=%2Fchat")


def test_another_user_in_the_same_browser_does_not_take_over_the_page(site, meet):
    ann, zoe = meet("Ann"), meet("Zoe")
    ann.page.clock.install()
    ann.enter()
    stop_the_clock(ann)
    other = ann.page.context.new_page()
    other.goto(f"{site.url}/account")
    other.get_by_role("button", name="Log out", exact=True).click()
    zoe.log_in(other)
    ann.page.clock.resume()
    ann.wait_state("other_user")
    expect(ann.connection).to_contain_text("Another account is logged in here.")
    expect(ann.input).to_be_disabled()
    ann.connection.get_by_role("link", name="Reload").click()
    expect(ann.page.get_by_test_id("account-menu")).to_contain_text(zoe.name)


def test_messages_sent_too_fast_are_held_and_then_sent(make_server, join):
    server = make_server(CHAT_RATE_LIMIT=2, CHAT_RATE_BURST=1)
    ann = join("Ann", at=server)
    texts = ["one", "two", "three"]
    for text in texts:
        ann.say(text)
    for text in texts:
        ann.sent(text)
    expect(ann.messages.locator(".fc-message__text")).to_have_text(texts)


def test_a_message_to_a_deleted_account_shows_an_error_and_can_be_discarded(past, ann, ben):
    ann.turn_to(ben.name)
    nobody_any_more(past, ben)
    expect(ann.page.locator("[data-part=here]")).to_have_text("Offline")
    for text in ("Are you there?", "Never mind"):
        ann.say(text)
        failed = ann.message(text)
        expect(failed).to_have_attribute("data-state", "failed")
        expect(failed.get_by_role("alert")).to_contain_text("Not sent. This account has been deleted.")
    failed.get_by_role("button", name="Discard").click()
    expect(failed).to_have_count(0)
    expect(ann.input).to_be_focused()
    expect(ann.messages).to_have_count(1)


def test_a_message_that_failed_can_be_sent_again(meet, ben):
    ann = meet("Ann")
    refused = []

    def refuse_once(socket):
        server = socket.connect_to_server()
        socket.on_message(lambda text: pass_on(socket, server, text))

    def pass_on(socket, server, text):
        message = json.loads(text)
        if message["type"] != 2 or refused:
            return server.send(text)
        refused.append(message["id"])
        error = {"type": 0, "user": None, "data": "Not this time.", "code": "internal", "ref": message["id"]}
        socket.send(json.dumps(error))

    ann.page.route_web_socket(re.compile("/ws/chat"), refuse_once)
    ann.enter().say("Is it going through?")
    failed = ann.message("Is it going through?")
    expect(failed.get_by_role("alert")).to_contain_text("Not sent. Not this time.")
    failed.get_by_role("button", name="Resend").click()
    ann.sent("Is it going through?")
    for person in (ann, ben):
        person.hears("Is it going through?", times=1)


def test_the_token_is_renewed_in_time(fern):
    fern.page.wait_for_function("() => Date.now() > performance.timeOrigin + 12_000")
    fern.say("Still the same socket")
    fern.sent("Still the same socket")
    assert len(fern.sockets) == 1
    assert "token" not in fern.page.url
