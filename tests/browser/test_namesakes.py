"""Users whose names differ only in case: each gets what was written to them, whatever the page was told of first."""

import pytest
from playwright.sync_api import expect

from tests.browser.person import Person
from tests.integration.namesakes_site import USERS
from tests.servers import Server


@pytest.fixture(scope="module")
def namesakes():
    with Server("gunicorn-gevent", app="tests.integration.namesakes_site:create_app()") as server:
        yield server


@pytest.fixture
def come(namesakes, make_page, console):
    """come("2") is that user of the site at the chat page, connected."""
    console.expect("favicon.ico")

    def come(user_id):
        person = Person(make_page(), namesakes.url, USERS[user_id])
        person.page.goto(f"{namesakes.url}/as/{user_id}")
        return person.wait_here()

    return come


@pytest.fixture
def people(come):
    return [come(user_id) for user_id in USERS]


def test_each_gets_only_what_was_written_to_them(people):
    ann, high, low = people
    for other in (high, low):
        ann.turn_to(other.name)
        ann.say(f"For {other.name} alone")
        ann.sent(f"For {other.name} alone")
        ann.turn_to_lobby()
    for other in (high, low):
        other.conversation("Ann").click()
        other.hears("alone", times=1)
        other.hears(f"For {other.name} alone")
        other.say(f"{other.name} answers")
    for other in (high, low):
        ann.conversation(other.name).click()
        ann.hears(f"{other.name} answers")
        ann.hears("answers", times=1)


def test_a_typed_name_that_fits_both_lets_one_choose(people, console):
    ann, high, low = people
    console.expect("status of 409")
    ann.page.get_by_test_id("write-to").click()
    dialog = ann.page.get_by_test_id("person-dialog")
    dialog.get_by_label("Name").fill("BOB")
    dialog.get_by_label("Name").press("Enter")
    expect(dialog.get_by_role("alert")).to_have_text("Several users have that name. Choose one of them.")
    choices = dialog.get_by_test_id("suggestion")
    expect(choices).to_have_text(["BBob", "Bbob"])
    choices.nth(1).click()
    expect(ann.title).to_have_text("bob")
    ann.say("Chosen from two")
    low.conversation("Ann").click()
    low.hears("Chosen from two")
    expect(high.conversation("Ann").get_by_test_id("unread")).to_be_hidden()
