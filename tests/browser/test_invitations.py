"""Invitations: told, accepted and declined, by mouse and by keys, on a phone and in another tab; deleted accounts."""

import re
from itertools import count

import pytest
from playwright.sync_api import expect

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
#: A browser writes every answer of 400 and more to its console.
REFUSED = "the server responded with a status of 4"
numbers = count(1)


@pytest.fixture
def ann(join):
    return join("Ann")


@pytest.fixture
def ben(join):
    return join("Ben")


@pytest.fixture
def title():
    """A name that no room has yet."""
    return f"Secret {next(numbers)}"


def invite(inviter, title, user):
    """Make a private room and invite somebody by the API; return the room's name."""
    room = inviter.make_room(title, kind="private")
    inviter.api("POST", f"rooms/{room}/members", {"id": user.id})
    return room


def test_an_invitation_is_told_and_accepted(ann, ben, title):
    invite(ann, title, ben)
    expect(ben.invitation(title)).to_contain_text(f"{ann.name} invited you")
    expect(ben.page.get_by_test_id("toast")).to_contain_text(f"{ann.name} invited you to {title}.")
    expect(ben.conversation(title)).to_have_count(0)
    ben.page.get_by_role("button", name=f"Accept {ann.name}'s invitation to {title}").click()
    expect(ben.title).to_have_text(title)
    expect(ben.input).to_be_focused()
    expect(ben.page.get_by_test_id("invitations")).to_be_hidden()
    ann.turn_to_room(title)
    ann.hears(f"{ann.name} invited {ben.name}.")
    ann.hears(f"{ben.name} joined, invited by {ann.name}.")
    ben.say("Here I am")
    ann.hears("Here I am")


def test_an_invitation_is_declined_by_keys(ann, ben, title):
    for one in (title, f"{title} too"):
        invite(ann, one, ben)
    expect(ben.page.get_by_role("heading", name="Invitations 2")).to_be_visible()
    ben.invitation(f"{title} too").get_by_test_id("accept").focus()
    ben.page.keyboard.press("Tab")
    expect(ben.invitation(f"{title} too").get_by_test_id("decline")).to_be_focused()
    ben.page.keyboard.press("Enter")
    expect(ben.page.get_by_test_id("invitation")).to_have_count(1)
    expect(ben.page.get_by_test_id("invitation").get_by_test_id("decline")).to_be_focused()
    ben.page.keyboard.press("Enter")
    expect(ben.page.get_by_test_id("invitations")).to_be_hidden()
    expect(ben.conversation("Lobby")).to_be_focused()
    expect(ben.page.get_by_test_id("toast").last).to_contain_text(f"You declined the invitation to {title}")


def test_an_invitation_is_there_after_a_reload_and_gone_in_the_other_tab(ann, ben, title):
    invite(ann, title, ben)
    expect(ben.invitation(title)).to_be_visible()
    ben.page.reload()
    other = ben.second_tab()
    for one in (ben, other):
        expect(one.invitation(title)).to_be_visible()
    other.accept(title)
    expect(ben.invitation(title)).to_have_count(0)
    expect(ben.conversation(title)).to_have_count(1)


def test_an_invitation_that_is_withdrawn_disappears(ann, ben, title):
    room = invite(ann, title, ben)
    expect(ben.invitation(title)).to_be_visible()
    ann.api("DELETE", f"rooms/{room}/invitations/{ben.id}")
    expect(ben.invitation(title)).to_have_count(0)


def test_an_invitation_that_no_longer_holds_says_so(ann, ben, title, console):
    console.expect(REFUSED)
    room = invite(ann, title, ben)
    expect(ben.invitation(title)).to_be_visible()
    ann.api("POST", f"rooms/{room}/leave")
    ben.invitation(title).get_by_test_id("accept").click()
    expect(ben.page.get_by_test_id("toast").last).to_contain_text("no longer valid")
    expect(ben.invitation(title)).to_have_count(0)
    expect(ben.title).to_have_text("Lobby")


def test_a_phone_tells_of_an_invitation_on_the_button_that_leads_to_it(ann, join, title):
    ben = join("Ben", **PHONE)
    invite(ann, title, ben)
    opener = ben.page.get_by_test_id("open-drawer")
    expect(opener).to_have_accessible_name("Open conversations, 1 invitation")
    opener.tap()
    expect(ben.invitation(title)).to_be_in_viewport(ratio=1)
    ben.invitation(title).get_by_test_id("accept").tap()
    expect(ben.title).to_have_text(title)
    expect(opener).to_have_accessible_name("Open conversations")


def test_an_invitation_in_chinese(ann, join, title):
    ben = join("Ben", locale="zh-CN")
    invite(ann, title, ben)
    expect(ben.invitation(title)).to_contain_text(f"{ann.name} 邀请了你")
    ben.page.get_by_role("button", name=f"接受 {ann.name} 的邀请，加入 {title}").click()
    expect(ben.title).to_have_text(title)


# -- deleted accounts


def delete_account(person):
    """Delete one's account on the site's page."""
    person.page.goto(f"{person.url}/account/delete")
    person.page.get_by_label("Password").fill("correct horse battery")
    person.page.get_by_role("button", name="Delete account permanently").click()
    expect(person.page).to_have_url(re.compile("/login"))


def test_the_conversation_with_a_deleted_account_is_closed(ann, ben, title):
    ann.make_room(title)
    ben.turn_to(ann.name)
    ben.say("Hello")
    ben.sent("Hello")
    ann.turn_to_room(title)
    ann.say("Said in the room")
    ann.sent("Said in the room")
    expect(ben.input).to_be_visible()
    delete_account(ann)
    expect(ben.title).to_have_text("Deleted account")
    expect(ben.input).to_be_hidden()
    bar = ben.page.get_by_test_id("join-bar")
    expect(bar).to_have_text(
        re.compile("^\\s*This account has been deleted. You can't send messages here any more.")
    )
    expect(bar.get_by_role("button")).to_be_hidden()
    expect(ben.conversation("Deleted account")).to_have_accessible_name("Deleted account")
    ben.page.goto(ben.link(title))
    message = ben.message("Said in the room")
    expect(message).to_contain_text("Deleted account")
    expect(message).not_to_contain_text(ann.name)


def test_a_deleted_account_in_chinese(ann, join):
    ben = join("Ben", locale="zh-CN")
    ben.turn_to(ann.name)
    ben.say("你好")
    ben.sent("你好")
    delete_account(ann)
    expect(ben.title).to_have_text("已注销的账号")
    expect(ben.page.get_by_test_id("join-bar")).to_contain_text("该账号已注销")
