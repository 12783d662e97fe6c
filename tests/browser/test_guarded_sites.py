"""The chat on sites that guard every POST: it finds the header that they want, or says once what they answered."""

import pytest
from playwright.sync_api import expect

from tests.servers import Server

#: Hours, and all reasons that a page has to connect again.
REASONS = "for (const name of ['online', 'focus']) dispatchEvent(new Event(name))"


@pytest.fixture
def open_widget(make_page):
    """open_widget(server) is a page of the site, on which the chat has just been opened."""

    def open_at(server):
        page = make_page()
        page.clock.install()
        page.goto(f"{server.url}/")
        page.get_by_test_id("widget-launcher").click()
        return page

    return open_at


@pytest.fixture
def serve():
    """serve("seasurf") is a server of that site."""
    started = []

    def start(kind):
        server = Server("gunicorn-gevent", app=f"tests.integration.guarded_sites:create_app('{kind}')")
        started.append(server)
        return server.__enter__()

    yield start
    for server in started:
        server.stop()


def state(page):
    return page.get_by_test_id("connection-state")


def wait_state(page, name):
    expect(state(page)).to_have_attribute("data-state", name)


@pytest.mark.parametrize("kind", ["seasurf", "jwt_cookies", "meta", "hook"])
def test_the_page_sends_what_the_protection_wants(serve, open_widget, console, kind):
    console.expect("favicon.ico")
    page = open_widget(serve(kind))
    wait_state(page, "online")
    page.get_by_test_id("open-drawer").click()
    page.get_by_test_id("make-room").click()  # a POST of the API
    dialog = page.get_by_test_id("create-dialog")
    dialog.get_by_label("Name").fill("Ridge walk")
    dialog.get_by_role("button", name="Create room").click()
    expect(page.locator("#chat-title")).to_have_text("Ridge walk")


@pytest.mark.parametrize(
    ("kind", "words", "links", "logged"),
    [
        ("unknown", "refused to connect the chat (status 403)", [], "with 403 before the chat saw it"),
        ("redirecting", "showed another page instead", ["Log in"], "with 302 before the chat saw it"),
        ("page_instead", "another page instead of connecting the chat (status 200)", ["Log in"], None),
    ],
)
def test_a_refused_token_is_shown_once_with_its_status(
    serve, open_widget, console, kind, words, links, logged
):
    console.expect("favicon.ico", "status of 403")
    server = serve(kind)
    page = open_widget(server)
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/chat/token" in request.url else None)
    wait_state(page, "no_token")
    expect(state(page)).to_contain_text(words)
    assert state(page).get_by_role("link").all_inner_texts() == links
    first = len(asked)
    page.clock.fast_forward("02:00:00")
    page.evaluate(REASONS)
    page.clock.fast_forward("02:00:00")
    wait_state(page, "no_token")
    assert first <= 1
    assert len(asked) == first
    if logged:
        assert server.log().count(logged) == 1


@pytest.mark.parametrize("kind", ["unknown", "redirecting"])
def test_try_again_asks_once_more_and_connects_if_it_may(serve, open_widget, console, kind):
    console.expect("favicon.ico", "status of 403")
    server = serve(kind)
    page = open_widget(server)
    wait_state(page, "no_token")
    again = state(page).get_by_role("button", name="Try again")
    with page.expect_response("**/chat/token"):
        again.click()
    wait_state(page, "no_token")
    server.get("/open")
    again.click()
    wait_state(page, "online")
    assert server.log().count("before the chat saw it") == 1  # of two refusals
