"""The box one writes in: what Enter does, input methods, drafts, the limit."""

import pytest
from playwright.sync_api import expect

LIMIT = 10_000


@pytest.fixture
def ann(join):
    """Somebody at a place of her own, where nothing was said yet."""
    ann = join("Ann")
    ann.turn_to(ann.name)
    return ann


def press_enter_of(session, key_code):
    """An Enter with this keyCode: 229 is one that an input method takes for itself."""
    for kind in ("rawKeyDown", "keyUp"):
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": key_code}
        session.send("Input.dispatchKeyEvent", {"type": kind, **key})


def test_enter_sends_and_shift_enter_starts_a_line(ann):
    ann.input.press_sequentially("one")
    ann.input.press("Shift+Enter")
    ann.input.press_sequentially("two")
    expect(ann.input).to_have_value("one\ntwo")
    expect(ann.messages).to_have_count(0)
    ann.input.press("Enter")
    expect(ann.messages.locator(".fc-message__text")).to_have_text("one\ntwo", use_inner_text=True)
    expect(ann.input).to_have_value("")
    expect(ann.input).to_be_focused()


def test_the_button_sends_text_that_is_not_blank(ann):
    send = ann.page.get_by_role("button", name="Send")
    expect(send).to_be_disabled()
    for blank in (" ", "\n\n", "\t"):
        ann.say(blank)
        expect(send).to_be_disabled()
    ann.input.fill("\n  something \n")
    send.click()
    expect(ann.messages).to_have_count(1)
    assert ann.messages.locator(".fc-message__text").inner_text() == "  something"
    expect(ann.input).to_be_focused()


def test_the_enter_of_an_input_method_does_not_send(ann):
    ann.input.focus()
    session = ann.page.context.new_cdp_session(ann.page)
    session.send("Input.imeSetComposition", {"text": "ni hao", "selectionStart": 6, "selectionEnd": 6})
    press_enter_of(session, 13)
    expect(ann.input).to_have_value("ni hao")
    session.send("Input.insertText", {"text": "你好"})
    press_enter_of(session, 229)  # Safari tells of the composition's end before its Enter
    expect(ann.input).to_have_value("你好")
    expect(ann.messages).to_have_count(0)
    ann.input.press("Enter")
    expect(ann.messages).to_have_count(1)
    ann.sent("你好")


def test_a_held_enter_sends_once(ann):
    ann.input.fill("once")
    ann.page.keyboard.down("Enter")
    ann.input.press_sequentially("twice")
    ann.page.keyboard.down("Enter")
    ann.page.keyboard.up("Enter")
    ann.sent("once")
    expect(ann.messages).to_have_count(1)
    expect(ann.input).to_have_value("twice")


def test_drafts_are_kept_for_each_conversation_and_over_a_reload(ann, join):
    ben = join("Ben")
    ann.turn_to_lobby()
    ann.input.fill("to everybody, later")
    ann.turn_to(ben.name)
    expect(ann.input).to_have_value("")
    ann.input.fill("to Ben, later")
    ann.turn_to_lobby()
    expect(ann.input).to_have_value("to everybody, later")
    ann.page.reload()
    ann.wait_here()
    expect(ann.input).to_have_value("to everybody, later")
    ann.turn_to(ben.name)
    expect(ann.input).to_have_value("to Ben, later")
    ann.input.press("Enter")
    ann.sent("to Ben, later")
    ann.page.reload()
    ann.wait_here()
    expect(ann.title).to_have_text(ben.name)
    ann.hears("to Ben, later")
    expect(ann.input).to_have_value("")


def test_the_counter_appears_near_the_limit_and_longer_text_is_not_sent(ann):
    counter, send = ann.page.get_by_test_id("counter"), ann.page.get_by_test_id("send")
    ann.input.fill("x" * (LIMIT - 501))
    expect(counter).to_be_hidden()
    ann.input.fill("x" * (LIMIT - 1))
    expect(counter).to_have_text("1 character left")
    ann.input.fill("🌞" * LIMIT)  # one character each, though two units of JavaScript's
    expect(counter).to_have_text("0 characters left")
    expect(send).to_be_enabled()
    ann.input.fill("x" * (LIMIT + 2))
    expect(counter).to_have_text("2 characters over the limit")
    expect(ann.input).to_have_attribute("aria-invalid", "true")
    expect(send).to_be_disabled()
    ann.input.press("Enter")
    expect(ann.input).to_have_value("x" * (LIMIT + 2))
    expect(ann.messages).to_have_count(0)
    ann.input.fill("🌞" * LIMIT)
    ann.input.press("Enter")
    expect(ann.messages).to_have_attribute("data-state", "sent")
    expect(counter).to_be_hidden()


def test_the_composer_grows_with_its_text_up_to_a_limit(ann):
    low = ann.input.bounding_box()["height"]
    ann.input.fill("\n".join("abc"))
    assert ann.input.bounding_box()["height"] > 2 * low
    ann.input.fill("\n" * 200)
    assert ann.input.bounding_box()["height"] < 0.5 * ann.page.viewport_size["height"]
    ann.input.fill("")
    assert ann.input.bounding_box()["height"] == low
