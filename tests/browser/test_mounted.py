"""The whole site below a path, /shop, that a dispatcher strips: every address in the pages has it."""

from types import SimpleNamespace

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import QUIET
from tests.servers import Server


@pytest.fixture(scope="module")
def shop():
    """The address of the mounted site. Nothing but the mount is at the server's root."""
    with Server("gunicorn-gevent", QUIET, "tests.integration.mounted_site:create_app()") as server:
        yield SimpleNamespace(url=f"{server.url}/shop")


@pytest.fixture
def misses(visitors):
    """The addresses that pages requested and that nothing serves."""
    missed = []

    def watch(person):
        person.page.on("response", lambda answer: missed.append(answer.url) if answer.status == 404 else None)
        return person

    yield watch
    assert missed == []


def test_two_people_talk_below_a_mount(shop, join, misses):
    ann, ben = misses(join("Ann", at=shop)), misses(join("Ben", at=shop))
    ann.say("Is this the shop?")
    expect(ben.message("Is this the shop?")).to_be_visible()
    ann.page.reload()
    ann.wait_here()
    expect(ann.message("Is this the shop?")).to_be_visible()


def test_log_out_and_log_in_again_stay_below_the_mount(shop, join, misses):
    ann = misses(join("Ann", at=shop))
    ann.log_out()
    ann.page.goto(f"{shop.url}/chat?room=lobby")
    expect(ann.page).to_have_url(f"{shop.url}/login?next=/shop/chat%3Froom%3Dlobby")
    ann.log_in()
    expect(ann.page).to_have_url(f"{shop.url}/chat")  # the page itself takes the lobby out of its address
    ann.wait_here()


def test_the_language_and_the_links_home_stay_below_the_mount(shop, join, misses):
    ann = misses(join("Ann", at=shop))
    ann.page.goto(f"{shop.url}/account")
    ann.page.get_by_test_id("language").click()
    expect(ann.page).to_have_url(f"{shop.url}/account")
    ann.page.get_by_role("link", name="Flask-Chat").click()
    expect(ann.page).to_have_url(f"{shop.url}/chat")


def test_a_page_that_lost_its_session_offers_the_log_in_below_the_mount(shop, join, console):
    console.expect("the server responded with a status of 401")
    ann = join("Ann", at=shop)
    tab = ann.second_tab()
    ann.log_out()
    tab.wait_state("signed_out")
    tab.connection.get_by_role("link").click()
    expect(tab.page).to_have_url(f"{shop.url}/login?next=%2Fshop%2Fchat")
