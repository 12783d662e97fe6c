"""The widget beside a site's own design: its colours, the count at the launcher, the way back from the page."""

from urllib.parse import urlencode

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.servers import Server

APP = "tests.integration.themed_site:create_app()"


@pytest.fixture(scope="module")
def shop():
    with Server("gunicorn-gevent", env={"ACCESS_LOG": ""}, app=APP) as server:
        yield server


@pytest.fixture
def visit(shop, make_page):
    """visit("Bob", head="<style>…", theme="dark") is a page of the shop with the widget, of Bob in a new profile."""

    def open_page(name, head="", theme=None, **options):
        page = make_page(base_url=shop.url, **options)
        query = {key: value for key, value in (("head", head), ("theme", theme)) if value}
        page.goto(f"/as/{name}?{urlencode(query)}")
        expect(page.get_by_test_id("widget-launcher")).to_be_visible()
        return page

    return open_page


def style(page, test_id, name):
    return page.get_by_test_id(test_id).evaluate(f"element => getComputedStyle(element).{name}")


def is_dark(page):
    """Whether the panel is: its ground is darker than its text."""
    ground, ink = (
        sum(map(int, style(page, "widget-panel", name).removeprefix("rgb(").rstrip(")").split(",")))
        for name in ("backgroundColor", "color")
    )
    return ground < ink


def css(declaration):
    return f"<style>:root {{ {declaration} }}</style>"


@pytest.mark.parametrize(
    ("system", "head", "dark"),
    [
        ("dark", "", False),
        ("light", "", False),
        ("dark", css("color-scheme: light"), False),
        ("light", css("color-scheme: dark"), True),
        ("dark", css("color-scheme: only light"), False),
        ("dark", css("color-scheme: light dark"), True),
        ("light", css("color-scheme: light dark"), False),
        ("dark", '<meta name="color-scheme" content="light dark">', True),
        ("light", '<meta name="color-scheme" content="dark">', True),
        ("dark", '<meta name="color-scheme" content="dark light">' + css("color-scheme: light"), False),
    ],
)
def test_the_widget_is_as_light_as_its_page(visit, system, head, dark):
    assert is_dark(visit("Bob", head, color_scheme=system)) is dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_site_may_say_which_it_is(visit, theme):
    for system, head in (("light", ""), ("dark", css("color-scheme: light dark"))):
        assert is_dark(visit("Bob", head, theme, color_scheme=system)) is (theme == "dark")


def test_the_widget_follows_a_page_that_switches(visit):
    page = visit("Bob", "<style>.night { color-scheme: dark }</style>")
    host = page.locator("[data-chat-widget]")
    for change, scheme in (
        ("document.documentElement.classList.add('night')", "dark"),
        ("document.documentElement.style.colorScheme = 'light'", "light"),
        ("document.querySelector('[data-chat-widget]').dataset.theme = 'dark'", "dark"),
    ):
        page.evaluate(change)
        expect(host).to_have_attribute("data-scheme", scheme)
        assert is_dark(page) is (scheme == "dark")


def test_the_widget_follows_the_readers_system_where_the_page_does(visit):
    page = visit("Bob", css("color-scheme: light dark"), color_scheme="light")
    assert not is_dark(page)
    page.emulate_media(color_scheme="dark")
    expect(page.locator("[data-chat-widget]")).to_have_attribute("data-scheme", "dark")
    assert is_dark(page)


@pytest.mark.parametrize("where", ["[data-chat-widget]", ":root"])
def test_accent_font_and_radius_are_the_sites(visit, where):
    variables = (
        "--chat-accent: rgb(138, 40, 70); --chat-on-accent: rgb(255, 240, 0); --chat-font: Georgia, serif"
    )
    page = visit("Bob", f"<style>{where} {{ {variables}; --chat-radius: 3px }}</style>")
    assert style(page, "widget-launcher", "backgroundColor") == "rgb(138, 40, 70)"
    assert style(page, "widget-launcher", "color") == "rgb(255, 240, 0)"
    assert style(page, "widget-panel", "fontFamily") == "Georgia, serif"
    page.get_by_test_id("widget-launcher").click()
    assert style(page, "widget-panel", "borderTopLeftRadius") == "3px"


def test_the_launcher_counts_at_load_what_is_unread(visit, shop):
    ines, jan = (Person(visit(name), shop.url, name) for name in ("Ines", "Jan"))
    for person in (ines, jan):
        person.page.get_by_test_id("widget-launcher").click()
        person.wait_here()
    ines.page.goto("about:blank")
    for text in ("One cup?", "Two cups?"):
        jan.say(text)
        jan.sent(text)
    again = visit("Ines")
    loaded = []
    again.on("request", lambda request: loaded.append(request.url))
    again.reload()
    expect(again.get_by_test_id("widget-launcher").locator(".fc-badge")).to_have_text("2")
    again.wait_for_load_state("networkidle")
    assert not [url for url in loaded if "/chat/token" in url or "/chat/api/" in url]
    launcher = again.get_by_test_id("widget-launcher")
    launcher.click()
    Person(again, shop.url, "Ines").hears("Two cups?")
    expect(launcher.locator(".fc-badge")).to_be_hidden()


def test_own_messages_are_not_new_after_a_log_in_elsewhere(visit, shop):
    kim = visit("Kim")
    kim.get_by_test_id("widget-launcher").click()
    person = Person(kim, shop.url, "Kim").wait_here()
    # The marks of what was read do not arrive: the reader closes the window at once.
    kim.evaluate("""() => {
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (data) { if (JSON.parse(data).type !== 10) send.call(this, data); };
    }""")
    person.say("Is the tea in?")
    person.sent("Is the tea in?")
    kim.goto("about:blank")
    elsewhere = visit("Kim")
    expect(elsewhere.get_by_test_id("widget-launcher").locator(".fc-badge")).to_be_hidden()
    elsewhere.get_by_test_id("widget-launcher").click()
    there = Person(elsewhere, shop.url, "Kim").wait_here()
    there.hears("Is the tea in?")
    expect(there.new_line).to_have_count(0)


def test_the_chat_page_leads_back_to_the_site(visit):
    page = visit("Lea")
    page.get_by_role("link", name="Talk").click()
    page.get_by_role("link", name="Tea shop").click()
    expect(page.locator("body")).to_have_text("Tea shop")


@pytest.mark.parametrize(("system", "theme", "dark"), [("dark", "light", False), ("light", "dark", True)])
def test_the_chat_page_has_the_theme_of_its_document(visit, shop, system, theme, dark):
    page = visit("Lea", color_scheme=system)
    page.goto("/chat")
    Person(page, shop.url, "Lea").wait_here()
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    ground = page.locator(".fc-app").evaluate("app => getComputedStyle(app).backgroundColor")
    assert (ground == "rgb(23, 24, 26)") is dark
