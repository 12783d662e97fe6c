"""The way in and out, as a stranger goes it."""

import re

import pytest
from playwright.sync_api import expect

from tests.browser.person import PASSWORD, Person

#: A page that is answered with an error status says so on the console.
REFUSED_FORM = "status of 400"
REFUSED_TOKEN = "status of 401"


@pytest.fixture
def page(site, make_page):
    """A visitor whom nobody knows."""
    return make_page(base_url=site.url)


@pytest.fixture
def ada(meet):
    """Somebody with an account, logged out again."""
    person = meet("Ada")
    person.page.context.clear_cookies()
    return person


def fill_and_send(page, name, password, button):
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name=button).click()


def test_a_new_user_registers_and_is_in_the_chat(site, page):
    page.goto("/")
    expect(page).to_have_url(f"{site.url}/login")
    page.get_by_role("link", name="Create an account").click()
    expect(page.get_by_label("Name")).to_be_focused()
    fill_and_send(page, "Grace Hopper", PASSWORD, "Create account")
    expect(page).to_have_url(f"{site.url}/chat")
    grace = Person(page, site.url, "Grace Hopper").wait_here()
    expect(grace.input).to_be_focused()
    expect(page.get_by_test_id("account-menu")).to_contain_text("Grace Hopper")


def test_form_errors_are_shown_beside_the_field(page, ada, console):
    console.expect(REFUSED_FORM)
    page.goto("/register")
    fill_and_send(page, ada.name, "short", "Create account")
    password = page.get_by_label("Password")
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_have_accessible_description(re.compile("^Use at least 8 characters"))
    fill_and_send(page, ada.name.upper(), PASSWORD, "Create account")
    expect(page.get_by_text("This name is taken")).to_be_visible()
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_label("Name")).to_have_value(ada.name.upper())


def test_a_wrong_password_is_refused_and_the_right_one_is_not(site, ada, console):
    console.expect(REFUSED_FORM)
    page = ada.page
    page.goto(f"{site.url}/login")
    fill_and_send(page, ada.name, "not my password", "Log in")
    expect(page.get_by_role("alert")).to_have_text("Wrong name or password.")
    expect(page.get_by_label("Name")).to_have_value(ada.name)
    expect(page.get_by_label("Password")).to_have_value("")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    ada.wait_here()


def test_log_in_returns_to_the_requested_page(site, ada):
    ada.page.goto(f"{site.url}/account/password")
    expect(ada.page.get_by_role("heading", name="Log in")).to_be_visible()
    ada.log_in()
    expect(ada.page).to_have_url(f"{site.url}/account/password")


def test_log_in_redirects_to_no_other_site(site, ada):
    ada.page.goto(f"{site.url}/login?next=//evil.example/")
    ada.log_in()
    expect(ada.page).to_have_url(f"{site.url}/chat")
    ada.wait_here()


def test_log_out_ends_the_session_in_the_browser(site, ada):
    ada.page.goto(f"{site.url}/login")
    ada.log_in()
    ada.wait_here().log_out()
    ada.page.goto(f"{site.url}/chat")
    expect(ada.page.get_by_role("heading", name="Log in")).to_be_visible()


def test_a_site_without_registration_says_so(make_server, make_page, console):
    console.expect("status of 403")
    closed = make_server(CHAT_REGISTRATION=0)
    page = make_page()
    page.goto(f"{closed.url}/login")
    expect(page.get_by_role("link", name="Create an account")).to_have_count(0)
    page.goto(f"{closed.url}/register")
    expect(page.get_by_role("heading", name="Registration is closed")).to_be_visible()


def test_a_password_can_be_shown_and_is_hidden_again_when_sent(page, console):
    console.expect(REFUSED_FORM)
    page.goto("/register")
    password, show = page.get_by_label("Password"), page.get_by_role("button", name="Show what I typed")
    expect(show).to_have_attribute("aria-pressed", "false")
    password.fill("short")
    show.focus()
    page.keyboard.press("Space")
    expect(show).to_have_attribute("aria-pressed", "true")
    expect(password).to_have_attribute("type", "text")
    expect(password).to_have_value("short")
    show.click()
    expect(password).to_have_attribute("type", "password")
    show.click()
    # What the form was sent with, as browsers see it that offer to complete plain text.
    page.evaluate(
        "document.querySelector('main form').addEventListener('submit',"
        " () => sessionStorage.setItem('sent', document.querySelector('#password').type))"
    )
    page.get_by_label("Name").fill("Grace Hopper")
    page.get_by_role("button", name="Create account").click()
    expect(password).to_have_attribute("aria-invalid", "true")
    assert page.evaluate("sessionStorage.getItem('sent')") == "password"


def test_without_scripts_there_is_no_button_to_show_a_password(site, make_page):
    page = make_page(base_url=site.url, java_script_enabled=False)
    page.goto("/login")
    expect(page.get_by_label("Password")).to_be_visible()
    expect(page.get_by_text("Show", exact=True)).to_be_hidden()


def test_another_device_is_logged_out_from_the_list(site, meet, make_page, console):
    """The phone's chat notices at once; the desktop stays."""
    console.expect(REFUSED_TOKEN)
    desktop = meet("Ada").enter()
    phone = Person(make_page(base_url=site.url, user_agent=IPHONE), site.url, desktop.name)
    phone.page.goto("/login")
    phone.log_in()
    phone.wait_here()
    account = desktop.page.context.new_page()
    account.goto(f"{site.url}/account")
    sessions = account.get_by_test_id("session")
    expect(sessions).to_have_count(2)
    expect(sessions.filter(has_text="This device")).to_contain_text("Chrome on")
    account.get_by_role("button", name="Log out: Safari on iPhone").click()
    expect(account.get_by_role("status")).to_have_text("Logged out: Safari on iPhone.")
    expect(sessions).to_have_count(1)
    phone.wait_state("signed_out")
    desktop.say("still here")
    desktop.sent("still here")


def test_log_out_everywhere_from_the_chats_menu(site, meet, make_page, console):
    console.expect(REFUSED_TOKEN)
    desktop = meet("Ada").enter()
    phone = Person(make_page(base_url=site.url), site.url, desktop.name)
    phone.page.goto("/login")
    phone.log_in()
    phone.wait_here()
    desktop.page.get_by_test_id("account-menu").locator("summary").click()
    desktop.page.get_by_role("button", name="Log out everywhere").click()
    expect(desktop.page).to_have_url(f"{site.url}/login")
    phone.wait_state("signed_out")


def test_a_link_for_a_forgotten_password(site, ada):
    page = ada.page
    page.goto(f"{site.url}/login")
    expect(page.get_by_text("Forgot your password?")).to_be_visible()
    link = site.cli("reset-link", ada.name, "--site", site.url).strip()
    page.goto(link)
    expect(page.get_by_role("heading", name="Choose a new password")).to_be_visible()
    expect(page.get_by_label("New password")).to_be_focused()
    page.keyboard.type("a horse, of course")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Log in with the new one")
    fill_and_send(page, ada.name, "a horse, of course", "Log in")
    ada.wait_here()


IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    " Version/18.5 Mobile/15E148 Safari/604.1"
)
