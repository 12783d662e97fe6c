"""A writer who has used up the day's quota is told when it goes on, in either language."""

import re

import pytest
from playwright.sync_api import expect


@pytest.mark.parametrize(
    ("locale", "sentence"),
    [
        (
            "en-GB",
            r"Not sent\. You've written as much as one person may in a day\. You can write again: .*\d\d:\d\d\.",
        ),
        ("zh-CN", r"未发送。 今天写的内容已达到每人每天的上限，可再次发送的时间：.*\d\d:\d\d。"),
    ],
)
def test_the_message_says_when_one_can_write_again(make_server, join, locale, sentence):
    ann = join("Ann", at=make_server(CHAT_STORE_QUOTA=500, CHAT_TRUSTED_PROXIES=1), locale=locale)
    ann.say("x" * 200)
    ann.sent("x" * 200)
    ann.say("y" * 200)
    failed = ann.message("y" * 200)
    expect(failed).to_have_attribute("data-state", "failed")
    expect(failed.get_by_role("alert")).to_have_text(re.compile(sentence))
