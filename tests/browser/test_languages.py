"""Chinese and English: the browser's wish, and the reader's."""

from playwright.sync_api import expect

from tests.browser.test_connection import nobody_any_more


def test_the_site_uses_the_browsers_language(make_page, site):
    page = make_page(locale="zh-CN")
    page.goto(f"{site.url}/login")
    expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    expect(page.get_by_label("用户名")).to_be_visible()


def test_other_languages_fall_back_to_english(make_page, site):
    page = make_page(locale="fr-FR")
    page.goto(f"{site.url}/login")
    expect(page.locator("html")).to_have_attribute("lang", "en")


def test_the_language_switch_keeps_the_page_and_is_remembered(join):
    ann = join("Ann")
    ann.say("Hello")
    ann.sent("Hello")
    ann.page.get_by_test_id("language").click()
    expect(ann.title).to_have_text("大厅")
    expect(ann.page).to_have_url(f"{ann.url}/chat")
    expect(ann.connection).to_contain_text("在线")
    expect(ann.input).to_have_attribute("placeholder", "对大家说点什么")
    ann.page.goto(f"{ann.url}/account/password")
    expect(ann.page.get_by_role("heading", name="修改密码")).to_be_visible()
    ann.page.get_by_test_id("language").click()
    expect(ann.page).to_have_url(f"{ann.url}/account/password")
    expect(ann.page.get_by_role("heading", name="Change password")).to_be_visible()


def test_server_texts_are_chinese_for_a_chinese_reader(past, join, console):
    console.expect("the server responded with a status of 404")
    ann, ben = join("安", locale="zh-CN"), join("Ben")
    ann.turn_to(ben.name)
    nobody_any_more(past, ben)
    expect(ann.page.locator("[data-part=here]")).to_have_text("离线")
    ann.say("你好")
    expect(ann.message("你好").get_by_role("alert")).to_contain_text(
        "未发送。 该账号已注销，不能再接收消息。"
    )
    expect(ann.message("你好").get_by_role("button", name="重新发送")).to_be_visible()
    ann.page.get_by_test_id("write-to").click()
    ann.page.keyboard.type("没有的人")
    ann.page.keyboard.press("Enter")
    expect(ann.page.get_by_test_id("person-dialog").get_by_role("alert")).to_have_text("没有叫这个名字的人。")


def test_every_text_of_the_page_is_translated(join):
    english, chinese = (
        join("Ann", locale=locale).page.evaluate(
            "JSON.parse(document.querySelector('#chat-config').textContent).strings"
        )
        for locale in ("en-GB", "zh-CN")
    )
    assert english.keys() == chinese.keys()
    assert [key for key, sentence in chinese.items() if sentence == english[key]] == []
