"""A browser at the chat through the proxies of deploy/: pages over HTTP/2 and a WebSocket beside them, all in TLS."""

import pytest
from playwright.sync_api import expect

from tests.browser.person import PASSWORD, Person
from tests.proxies import KINDS, Proxy


@pytest.fixture(params=KINDS)
def front(request, site):
    """A proxy whose two nodes are the same."""
    with Proxy(request.param, [site, site]) as proxy:
        yield proxy


def test_a_user_registers_and_sends_a_message(front, make_page):
    page = make_page(ignore_https_errors=True)
    sockets = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.goto(f"{front.url}/register")
    ann = Person(page, front.url, f"Ann at {front.kind}")
    page.get_by_label("Name").fill(ann.name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    ann.wait_here().say(f"through {front.kind}")
    expect(ann.message(f"through {front.kind}")).to_have_count(1)
    assert [url.partition("?")[0] for url in sockets] == [f"wss://127.0.0.1:{front.port}/ws/chat"]
    assert page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
