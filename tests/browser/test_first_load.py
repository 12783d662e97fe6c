"""What a visit to the chat page loads, and that its first message needs no further request."""

import re

import pytest
from playwright.sync_api import expect

from bench.visit import LOCAL, visit
from tests.browser.visitors import numbers

#: The most requests of a first and of a second visit, the socket included.
FIRST, SECOND = 6, 2
KILOBYTES = 120


@pytest.fixture
def title():
    """A name that no room has yet."""
    return f"Hall {next(numbers)}"


@pytest.fixture
def ann(meet, past):
    """A user who has not visited the chat yet; the lobby has messages."""
    past.say("lobby", [f"Earlier message, {next(numbers)}" for _ in range(60)])
    return meet("Ann")


def names(seen):
    return [re.sub(r"-[A-Z0-9]{8}\.", ".", url.rpartition("/")[2]) for url in seen.requests]


def test_a_first_visit_loads_little_and_a_second_one_only_the_document(ann):
    context, address = ann.page.context, ann.link()
    first, second = (visit(context, address, LOCAL) for _ in range(2))
    # The headless shell has no tabs and requests no icon for them.
    assert {*names(first), "favicon.svg"} == {"chat", "chat.css", "favicon.svg", "page.js"}
    assert len(first.requests) + first.sockets <= FIRST
    assert first.received < KILOBYTES * 1000
    assert (names(second), second.sockets) == (["chat"], 1)
    assert len(second.requests) + second.sockets <= SECOND


def test_a_second_visit_to_a_room_loads_only_the_document(ann, past, title):
    room = past.room(title, ["Welcome"], members=[ann])
    visit(ann.page.context, ann.link(room), LOCAL)
    assert names(visit(ann.page.context, ann.link(room), LOCAL)) == [f"chat?room={room.replace(' ', '+')}"]


def test_the_first_message_needs_neither_the_api_nor_the_socket(ann, console):
    console.expect("net::ERR_FAILED", "WebSocket")
    asked = []
    ann.page.route(
        re.compile("/chat/(api|token)"), lambda route: asked.append(route.request.url) or route.abort()
    )
    ann.page.route_web_socket(re.compile("/ws/chat"), lambda socket: socket.close(code=1012))
    ann.page.goto(ann.link())
    expect(ann.messages.last).to_contain_text("Earlier message")
    expect(ann.conversation("Lobby")).to_be_visible()
    assert asked == []


def test_nothing_is_lost_between_the_document_and_the_socket(ann, past, title):
    held = []
    ann.page.clock.install()
    ann.page.route_web_socket(re.compile("/ws/chat"), lambda socket: held.append(socket))
    ann.page.goto(ann.link())
    expect(ann.messages.last).to_contain_text("Earlier message")
    past.say("lobby", ["Sent in between"])
    past.room(title, ["Come in"], members=[ann])
    connect(held[0])
    ann.wait_here()
    expect(ann.message("Sent in between")).to_have_count(1)
    expect(ann.conversation(title)).to_have_count(0)
    ann.page.clock.fast_forward(11_000)
    expect(ann.unread_of(title)).to_have_text("1")
    expect(ann.message("Sent in between")).to_have_count(1)


def connect(socket):
    """Connect a socket that was held back to the server."""
    server = socket.connect_to_server()
    socket.on_message(server.send)
    server.on_message(socket.send)


def test_the_source_modules_work_without_a_build(make_server, join):
    ann = join("Ann", at=make_server(CHAT_ASSETS="source"))
    ann.say("From the source")
    ann.sent("From the source")
    loaded = ann.page.evaluate("performance.getEntriesByType('resource').map(({ name }) => name)")
    assert any(name.endswith("/static/js/timeline.js") for name in loaded)
    assert not any("/dist/" in name for name in loaded)
