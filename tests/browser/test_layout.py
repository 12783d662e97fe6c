"""What is seen on a phone, on a wide screen, in the dark."""

import re

import pytest
from playwright.sync_api import expect

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "device_scale_factor": 2,
    "has_touch": True,
    "is_mobile": True,
}


@pytest.fixture
def ann(join):
    return join("Ann", **PHONE)


def sidebar_of(person):
    return person.page.locator("#chat-sidebar")


def open_dialog(name):
    def look(person):
        person.page.get_by_test_id("open-drawer").tap()
        person.page.get_by_test_id(name).tap()

    return look


#: What a phone can show, each with its buttons.
LOOKS = (
    lambda person: person.page.get_by_test_id("open-drawer").tap(),
    lambda person: person.people_button.tap(),
    lambda person: person.page.get_by_test_id("open-search").tap(),
    lambda person: person.page.get_by_test_id("room-menu").locator("summary").tap(),
    open_dialog("make-room"),
    open_dialog("write-to"),
    open_dialog("find-rooms"),
)


def luminance(element, colour="backgroundColor"):
    """How bright a computed colour is, 0 to 255."""
    text = element.evaluate("(it, name) => getComputedStyle(it)[name]", colour)
    # rgb(0, 128, 255), or for mixed colours color(srgb 0 0.5 1).
    scale = 255 if text.startswith("color(srgb ") else 1
    red, green, blue = (scale * float(part) for part in re.findall(r"[\d.]+", text)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def no_wider_than_its_window(page):
    return page.evaluate("document.documentElement.scrollWidth <= innerWidth && scrollX === 0")


def test_a_phone_shows_one_conversation_and_a_drawer(ann, join):
    ben = join("Ben")
    page, drawer = ann.page, sidebar_of(ann)
    opener = page.get_by_test_id("open-drawer")
    expect(ann.input).to_be_in_viewport(ratio=1)
    expect(drawer).to_be_hidden()
    opener.tap()
    expect(ann.conversation("Lobby")).to_be_in_viewport(ratio=1)
    expect(opener).to_have_attribute("aria-expanded", "true")
    ann.conversation("Lobby").tap()
    expect(drawer).to_be_hidden()
    ann.people_button.tap()
    expect(ann.roster_of(ben.name)).to_be_in_viewport(ratio=1)
    ann.roster_of(ben.name).tap()
    expect(ann.roster).to_be_hidden()
    expect(ann.title).to_have_text(ben.name)
    ann.input.tap()
    ann.input.fill("From the phone")
    page.get_by_test_id("send").tap()
    ann.sent("From the phone")
    ben.say("In the lobby, Ann is not looking")
    expect(opener).to_have_accessible_name("Open conversations, 1 unread message")
    expect(opener).to_contain_text("1")


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_the_drawer_closes_by_its_button_by_a_click_outside_and_by_escape(motion, join):
    ann = join("Ann", **PHONE, reduced_motion=motion)
    drawer, opener = sidebar_of(ann), ann.page.get_by_test_id("open-drawer")
    closers = [
        lambda: ann.page.get_by_role("button", name="Close", exact=True).tap(),
        lambda: ann.page.touchscreen.tap(380, 400),
        lambda: ann.page.keyboard.press("Escape"),
    ]
    for close in closers:
        opener.tap()
        expect(drawer).to_be_visible()
        close()
        expect(drawer).to_be_hidden()
        expect(opener).to_be_focused()


def test_nothing_makes_a_phone_scroll_sideways(ann, meet):
    lang = meet("M" * 28).enter()
    for text in ("W" * 300, "https://example.org/" + "w" * 300, "长" * 100, "| a | table |\t" * 20):
        lang.say(text)
        ann.hears(text[:50])
    assert no_wider_than_its_window(ann.page)
    assert ann.log.evaluate("log => log.scrollWidth <= log.clientWidth")
    ann.people_button.tap()
    ann.roster_of(lang.name).tap()
    assert no_wider_than_its_window(ann.page)
    expect(ann.input).to_be_in_viewport(ratio=1)
    for path in ("/account", "/account/password", "/account/delete"):
        ann.page.goto(f"{ann.url}{path}")
        assert no_wider_than_its_window(ann.page), path


def test_touch_targets_are_large_enough(ann):
    for look in LOOKS:
        look(ann)
        for button in ann.page.get_by_role("button").all():
            if button.is_visible():
                box = button.bounding_box()
                assert round(min(box["width"], box["height"]), 2) >= 44, button.evaluate("it => it.outerHTML")
        for _ in ("the dialog", "the drawer below it"):
            ann.page.keyboard.press("Escape")


def test_the_layout_follows_the_window_size(join):
    ann = join("Ann")
    ann.say("How wide is a line?")
    sidebar, side = sidebar_of(ann), ann.page.get_by_test_id("side")
    expect(sidebar).to_be_in_viewport(ratio=1)
    expect(ann.page.get_by_test_id("open-drawer")).to_be_hidden()
    ann.page.set_viewport_size(PHONE["viewport"])
    expect(sidebar).to_be_hidden()
    expect(side).to_be_hidden()
    ann.page.set_viewport_size({"width": 2560, "height": 1200})
    expect(sidebar).to_be_in_viewport(ratio=1)
    expect(ann.roster_of(ann.name)).to_be_in_viewport()
    assert 300 < ann.messages.last.bounding_box()["width"] < 900, "lines too long to read"


def test_side_panels_stay_as_the_reader_left_them(join):
    ann = join("Ann", viewport={"width": 1400, "height": 800})
    side = ann.page.get_by_test_id("side")
    expect(ann.roster).to_be_visible()
    ann.page.get_by_test_id("open-search").click()
    expect(ann.page.get_by_test_id("search-field")).to_be_focused()
    side.get_by_role("button", name="Close").click()
    expect(ann.roster).to_be_visible()
    side.get_by_role("button", name="Close").click()
    expect(side).to_be_hidden()
    ann.page.reload()
    ann.wait_here()
    expect(side).to_be_hidden()
    ann.people_button.click()
    expect(ann.roster).to_be_visible()
    ann.page.reload()
    ann.wait_here()
    expect(ann.roster).to_be_visible()


def test_panels_over_the_log_close_again(join):
    ann, ben = join("Ann", viewport={"width": 900, "height": 700}), join("Ben")
    side = ann.page.get_by_test_id("side")
    expect(side).to_be_hidden()
    ann.people_button.click()
    expect(ann.roster_of(ben.name)).to_be_visible()
    ann.page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(ann.people_button).to_be_focused()
    ann.people_button.click()
    ann.page.mouse.click(400, 300)
    expect(side).to_be_hidden()
    ann.turn_to(ben.name)
    expect(side).to_be_hidden()
    expect(ann.input).to_be_focused()


@pytest.mark.parametrize(("scheme", "is_dark"), [("light", False), ("dark", True)])
def test_the_colour_scheme_follows_the_reader(scheme, is_dark, join):
    ann = join("Ann", color_scheme=scheme)
    ann.say("Night or day?")
    body = ann.page.locator("body")
    bubble = ann.message("Night or day?").last.locator(".fc-bubble")
    assert (luminance(body) < 64) == is_dark
    assert (luminance(bubble) < 100) == is_dark
    assert (luminance(bubble, "color") > 150) == is_dark
    ann.page.goto(f"{ann.url}/account")
    assert (luminance(body) < 64) == is_dark
    assert (luminance(body, "color") > 150) == is_dark
