"""What people write reaches the page as they wrote it: as text, with links that can be trusted."""

import re

import pytest
from playwright.sync_api import expect

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{7*7}} ${7*7} <%= 7*7 %> &lt;b&gt; &amp;",
    "<a href='javascript:alert(1)'>click</a>",
    "\u202egnirts desrever",
]
LINKS = {
    "see https://example.org/a?b=c#d.": "https://example.org/a?b=c#d",
    "(http://example.org/wiki/Chat_(talk))": "http://example.org/wiki/Chat_(talk)",
    "看这里https://example.org/路径": "https://example.org/",
    "HTTPS://EXAMPLE.ORG/Up": "https://example.org/Up",
}
NOT_LINKS = [
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "https://bank.example@evil.example/",
    "https://",
]


@pytest.fixture(scope="module")
def ann(regulars):
    return regulars.join("Ann")


@pytest.fixture(scope="module")
def ben(regulars):
    return regulars.join("Ben")


def heard(person, text):
    """The element of the one message that says exactly `text`."""
    exactly = re.compile(f"^{re.escape(text)}$")
    found = person.messages.locator(".fc-message__text").filter(has_text=exactly)
    expect(found).to_have_count(1)
    return found


def test_markup_is_shown_as_text(ann, ben):
    for text in HOSTILE:
        ann.say(text)
        for person in (ann, ben):
            element = heard(person, text)
            assert element.inner_text() == text
            assert element.evaluate("it => it.childElementCount") == 0


def test_a_hostile_name_is_only_a_name(join, ann):
    for hostile in ("<img src=x onerror=alert(1)>", "<b>Bold</b>&amp;"):
        villain = join(hostile)
        villain.say("Look at my name")
        expect(ann.message("Look at my name").last.locator("bdi")).to_have_text(villain.name)
        villain.turn_to(ann.name)
        villain.say("And here")
        ann.conversation(villain.name).click()
        expect(ann.title).to_have_text(villain.name)
        expect(ann.input).to_have_attribute("placeholder", f"Message {villain.name}")
        for person in (ann, villain):
            expect(person.page.locator("img, b, svg[onload]")).to_have_count(0)
        villain.page.goto(f"{villain.url}/account")
        expect(villain.page.get_by_role("heading", level=1)).to_have_text(villain.name)
        ann.turn_to_lobby()


def test_long_names_and_words_are_cut_and_wrapped(join):
    # With its number as long as a name may be.
    lang = join("Donaudampfschifffahrtsverein", viewport={"width": 800, "height": 600})
    lang.say("Langwort" + "W" * 1000)
    lang.hears("LangwortWWW")
    for element in (lang.page.locator("html"), lang.log, lang.page.locator("#chat-sidebar")):
        assert element.evaluate("it => it.scrollWidth <= it.clientWidth"), element
    name = lang.roster_of(lang.name).locator("bdi")
    assert name.evaluate("it => getComputedStyle(it).textOverflow") == "ellipsis"
    expect(lang.roster_of(lang.name)).to_have_attribute("title", lang.name)


def test_addresses_are_links(ann):
    for text, address in LINKS.items():
        ann.say(text)
        said = heard(ann, text)
        link = said.get_by_role("link")
        expect(link).to_have_attribute("href", address)
        expect(link).to_have_attribute("target", "_blank")
        assert {"noopener", "noreferrer"} <= set(link.get_attribute("rel").split())


def test_a_link_opens_a_tab_without_an_opener(site, ann):
    ann.say(f"{site.url}/account")
    with ann.page.expect_popup() as opened:
        ann.message("/account").get_by_role("link", name=f"{site.url}/account").click()
    assert opened.value.evaluate("[opener, document.referrer]") == [None, ""]
    opened.value.close()


def test_text_that_only_resembles_an_address_is_no_link(ann):
    for text in NOT_LINKS:
        ann.say(text)
        expect(heard(ann, text).get_by_role("link")).to_have_count(0)


def test_line_breaks_and_spaces_are_kept(ann, ben):
    text = "def f():\n    return 1\n\n\tdone"
    ann.say(text)
    said = ben.message("def f")
    expect(said).to_have_count(1)
    assert said.locator(".fc-message__text").inner_text() == text


def test_a_very_long_message_is_folded(ann, ben):
    ann.say("\n".join(f"Line {n}" for n in range(100)))
    message = ben.message("Line 99")
    folded = message.bounding_box()["height"]
    assert folded < ben.log.bounding_box()["height"]
    message.get_by_role("button", name="Show full message").click()
    assert message.bounding_box()["height"] > 3 * folded
    expect(message.get_by_role("button")).to_have_count(0)


def test_a_mention_is_highlighted(ann, ben):
    ann.say(f"@{ben.name}, are you there?")
    ann.say(f"@{ben.name}0 is somebody else")
    ben.hears("somebody else")
    assert "fc-message--mention" in ben.message("are you there").get_attribute("class")
    assert "fc-message--mention" not in ben.message("somebody else").get_attribute("class")


def test_each_day_has_a_line_and_each_message_a_time(meet, ann):
    reader = meet("Rita", timezone_id="Asia/Shanghai")
    reader.page.clock.install()
    reader.enter()
    ann.say("Today's news")
    reader.hears("Today's news")
    time = reader.message("Today's news").locator("time")
    shown = reader.page.evaluate(
        "iso => new Date(iso).toLocaleTimeString('en-GB', {hour: '2-digit', minute: '2-digit'})",
        time.get_attribute("datetime"),
    )
    expect(time).to_have_text(shown)
    expect(reader.log.locator(".fc-line--day")).to_have_text(["Today"])
    reader.page.clock.fast_forward("24:00:00")
    expect(reader.log.locator(".fc-line--day")).to_have_text(["Yesterday"])
