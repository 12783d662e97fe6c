"""The chat as a panel on the pages of somebody else's site."""

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.browser.test_layout import PHONE
from tests.integration.existing_site import ExistingSite


@pytest.fixture(scope="module")
def club():
    with ExistingSite("gunicorn-gevent", env={"ACCESS_LOG": ""}) as server:
        yield server


@pytest.fixture
def member(club, make_page, console):
    """A page of a new member of the club, with the widget on it."""
    console.expect("favicon.ico")  # the example has none

    def join(name, **options):
        page = make_page(base_url=club.url, **options)
        page.goto("/join")
        page.get_by_label("Nickname").fill(name)
        page.get_by_label("Email").fill(f"{name}@example.org")
        page.get_by_label("Password").fill("boots")
        page.get_by_role("button", name="Join").click()
        expect(page.get_by_test_id("widget-launcher")).to_be_visible()
        return Person(page, club.url, name)

    return join


def test_the_chat_loads_when_the_panel_is_first_opened(member):
    nils = member("Nils")
    loaded = []
    nils.page.on("request", lambda request: loaded.append(request.url))
    nils.page.reload()
    launcher = nils.page.get_by_test_id("widget-launcher")
    expect(launcher).to_be_visible()
    nils.page.wait_for_load_state("networkidle")
    assert any("/widget-" in url for url in loaded)
    assert not any("/app-" in url or "/chat/token" in url for url in loaded)
    launcher.click()
    nils.wait_here()
    launcher.click()
    launcher.click()
    nils.wait_here()
    assert sum("/app-" in url for url in loaded) == sum("/chat/token" in url for url in loaded) == 1


def test_a_chat_that_failed_to_load_is_loaded_at_the_next_click(member, console):
    console.expect("net::ERR_FAILED")
    olga = member("Olga")
    olga.page.route("**/app-*.js", lambda route: route.abort())
    launcher, panel = olga.page.get_by_test_id("widget-launcher"), olga.page.get_by_test_id("widget-panel")
    launcher.click()
    expect(panel).to_be_hidden()
    expect(launcher).to_be_focused()
    olga.page.unroute_all()
    launcher.click()
    olga.wait_here()


def test_the_panel_covers_the_phone_screen_and_nothing_covers_it(member):
    nora = member("Nora", **PHONE)
    launcher, panel = nora.page.get_by_test_id("widget-launcher"), nora.page.get_by_test_id("widget-panel")
    launcher.tap()
    nora.wait_state("online")
    expect(panel).to_be_in_viewport(ratio=1)
    nora.input.fill("From the ridge")
    nora.page.get_by_test_id("send").tap()
    nora.sent("From the ridge")
    nora.page.get_by_role("button", name="Close chat").tap()
    expect(panel).to_be_hidden()
    expect(launcher).to_be_focused()


def test_rooms_in_the_panel_do_not_change_the_sites_page(member):
    rosa = member("Rosa")
    rosa.page.get_by_test_id("widget-launcher").click()
    rosa.wait_here()
    address, panel = rosa.page.url, rosa.page.get_by_test_id("widget-panel")
    rosa.page.get_by_test_id("open-drawer").click()
    rosa.page.get_by_test_id("make-room").click()
    dialog = rosa.page.get_by_test_id("create-dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    rosa.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(panel).to_be_visible()
    rosa.page.get_by_test_id("make-room").click()
    dialog.get_by_label("Name").fill("Ridge walk")
    dialog.get_by_role("button", name="Create room").click()
    expect(rosa.title).to_have_text("Ridge walk")
    rosa.say("Nine o'clock")
    rosa.sent("Nine o'clock")
    for opener, seen in (
        ("open-people", rosa.roster),
        ("open-search", rosa.page.get_by_test_id("search-field")),
    ):
        rosa.page.get_by_test_id(opener).click()
        expect(seen).to_be_visible()
        rosa.page.keyboard.press("Escape")
        expect(seen).to_be_hidden()
        expect(panel).to_be_visible()
    assert rosa.page.url == address
    rosa.page.reload()
    rosa.wait_here()
    rosa.page.get_by_test_id("open-drawer").click()
    rosa.conversation("Ridge walk").click()
    rosa.hears("Nine o'clock")


def test_menus_in_the_panel_work(member):
    sepp = member("Sepp")
    sepp.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sepp.page.get_by_test_id("widget-launcher").click()
    sepp.wait_here()
    menu = sepp.page.get_by_test_id("room-menu")
    menu.locator("summary").click()
    menu.get_by_role("button", name="Copy link").click()
    expect(sepp.page.get_by_test_id("toast")).to_contain_text("Link copied")
    assert sepp.page.evaluate("navigator.clipboard.readText()") == f"{sepp.url}/talk/chat"


def test_the_launcher_counts_messages_received_while_the_panel_was_closed(member):
    otto, paul = member("Otto"), member("Paul")
    for one in (otto, paul):
        one.page.get_by_test_id("widget-launcher").click()
        one.wait_here()
    paul.page.keyboard.press("Escape")
    otto.say("Are you coming?")
    launcher = paul.page.get_by_test_id("widget-launcher")
    badge = launcher.locator(".fc-badge")
    expect(badge).to_have_text("1")
    launcher.click()
    paul.hears("Are you coming?")
    expect(badge).to_be_hidden()
