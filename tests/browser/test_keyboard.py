"""Everything by the keyboard: where Tab leads, what Escape does, that one sees where one is."""

import pytest
from playwright.sync_api import expect

from tests.browser.person import PASSWORD

#: The focused element, as one would call it.
FOCUSED = """() => {
    const it = document.activeElement;
    return it.getAttribute("aria-label") || (it.role === "log" ? "the log" : it.textContent.trim());
}"""
#: Whether one can see that it is focused: by itself or by the box around it.
IS_MARKED = """() => {
    const it = document.activeElement;
    const frame = it.closest(".fc-composer__box, .fc-option, .fc-choice__one") ?? it;
    const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(frame);
    return (outlineStyle !== "none" && outlineWidth !== "0px") || boxShadow !== "none";
}"""

#: The headless shell refuses notifications whatever its settings, so that the button for them would be disabled.
MAY_NOTIFY = "Object.defineProperty(Notification, 'permission', { get: () => 'default' })"


@pytest.fixture
def ann(join):
    return join("Ann")


def tab_through(page, stops, key="Tab"):
    """Press Tab so often; the names of what was focused. Each must be seen to be."""
    names = []
    for _ in range(stops):
        page.keyboard.press(key)
        assert page.evaluate(IS_MARKED), page.evaluate(FOCUSED)
        names.append(page.evaluate(FOCUSED))
    return names


def test_the_log_in_page_works_by_keyboard_alone(site, meet):
    ann = meet("Ann")
    page = ann.page
    page.context.clear_cookies()
    page.goto(f"{site.url}/login")
    expect(page.get_by_label("Name")).to_be_focused()
    page.keyboard.type(ann.name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    assert tab_through(page, 3) == ["ShowShow what I typed", "Log in", "Create an account"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    ann.wait_here()


def test_tab_follows_the_reading_order(meet):
    ann = meet("Ann")
    ann.page.add_init_script(MAY_NOTIFY)
    ann.enter()
    ann.turn_to(ann.name)
    ann.say("One")
    ann.say("Two")
    ann.sent("Two")
    expect(ann.input).to_be_focused()
    backwards = tab_through(ann.page, 14, "Shift+Tab")
    time = ann.messages.last.locator("time").inner_text()
    assert backwards[::-1] == [
        "Skip to message box",
        "Browse rooms",
        "Create a room",
        "Lobby",  # of the rooms
        "New direct message",
        f"{ann.name}, Online",  # of the people one writes with
        ann.name,  # the account's menu
        "中文",
        "Search",
        "People",
        "Notify me about direct messages and mentions",
        "Room options",
        "the log",
        f"{time}, Copy link to message",
    ]
    expect(ann.page.get_by_text("Skip to message box")).to_be_in_viewport(ratio=1)
    ann.page.keyboard.press("Enter")
    expect(ann.input).to_be_focused()


def test_arrow_keys_move_through_the_messages(ann):
    ann.turn_to(ann.name)
    for text in ("One", "Two", "Three"):
        ann.say(text)
        ann.sent(text)
    ann.page.keyboard.press("Shift+Tab")
    ann.page.keyboard.press("ArrowUp")
    time = ann.message("Two").locator("a.fc-message__time")
    expect(time).to_be_focused()
    expect(time).to_be_in_viewport()
    ann.page.keyboard.press("Home")
    expect(ann.message("One").locator("a.fc-message__time")).to_be_focused()


def test_a_dialog_keeps_the_focus_and_gives_it_back(ann):
    opener = ann.page.get_by_test_id("make-room")
    opener.focus()
    ann.page.keyboard.press("Enter")
    dialog = ann.page.get_by_test_id("create-dialog")
    expect(dialog.get_by_label("Name")).to_be_focused()
    assert tab_through(ann.page, 4)[-2:] == ["Cancel", "Create room"]
    ann.page.keyboard.press("Tab")  # to the browser's own buttons
    assert tab_through(ann.page, 1) == ["Close"]
    ann.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_conversation_is_started_by_keyboard_alone(ann, join):
    ben = join("Ben")
    expect(ann.roster_of(ben.name)).to_be_visible()
    ann.roster.get_by_test_id("roster-item").first.focus()
    ann.page.keyboard.press("End")
    ann.page.keyboard.press("Home")
    names = ann.roster.get_by_test_id("roster-item").evaluate_all("items => items.map((item) => item.title)")
    for _ in range(names.index(ben.name)):
        ann.page.keyboard.press("ArrowDown")
    expect(ann.roster_of(ben.name)).to_be_focused()
    ann.page.keyboard.press("Enter")
    expect(ann.title).to_have_text(ben.name)
    expect(ann.input).to_be_focused()
    ann.page.keyboard.type("All by keys")
    ann.page.keyboard.press("Enter")
    ben.conversation(ann.name).click()
    ben.hears("All by keys")


def test_escape_closes_the_menu_and_gives_the_focus_back(ann):
    summary = ann.page.get_by_test_id("account-menu").locator("summary")
    summary.focus()
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_test_id("log-out")).to_be_visible()
    tab_through(ann.page, 4)
    expect(ann.page.get_by_test_id("log-out")).to_be_focused()
    ann.page.keyboard.press("Escape")
    expect(ann.page.get_by_test_id("log-out")).to_be_hidden()
    expect(summary).to_be_focused()


def test_the_log_scrolls_by_keys(ann):
    ann.turn_to(ann.name)
    ann.say("\n".join("a long story".split()) * 12)
    ann.say("\n".join("and another one".split()) * 12)
    ann.sent("and")
    ann.log.focus()
    ann.page.keyboard.press("Home")
    expect(ann.jump).to_be_visible()
    ann.page.wait_for_function("() => document.querySelector('[role=log]').scrollTop === 0")
    ann.page.keyboard.press("End")
    expect(ann.jump).to_be_hidden()
