"""Words that nobody may register, what looks like them, and titles that look alike."""

import pytest

from chat.identity.names import BadName
from chat.identity.reserved import check_new_name, is_reserved, is_visible, title_key


@pytest.mark.parametrize(
    "name",
    [
        *("all", "everyone", "here", "admin", "administrator", "system", "moderator", "lobby", "root"),
        *("ADMIN", "AdmIn", "Аdmin", "ADМIN", "adm1n", "a.d.m.i.n", "_system_", "ａｄｍｉｎ", "a11", "@all"),
        *(
            "Iobby",
            "l0bby",
            "syst3m",
            "👑admin",
            "admin👑",
            "A d m i n",
            "deleted account",
            "Deleted  Account",
        ),
        *("所有人", "管理员", "系统", "【系统】", "管理員", "已注销的账号", "大厅"),
    ],
)
def test_reserved(name):
    assert is_reserved(name)


@pytest.mark.parametrize(
    "name",
    [
        "Ali",
        "Al",
        "Alina",
        "Allan",
        "Ada",
        "Herea",
        "Systema",
        "Modesta",
        "Admiral",
        "小明",
        "管小员",
        "",
        "!!",
        "Rooty",
    ],
)
def test_not_reserved(name):
    assert not is_reserved(name)


def test_a_site_reserves_more():
    assert not is_reserved("Acme") and is_reserved("АCME", ["acme"]) and is_reserved("acme", ("Acme",))


def test_a_new_name_is_clean_and_not_reserved():
    assert check_new_name("  ada ") == "ada"
    with pytest.raises(BadName) as caught:
        check_new_name("Ａdmin")
    assert caught.value.code == "name_reserved"
    with pytest.raises(BadName) as caught:
        check_new_name("")
    assert caught.value.code == "name_empty"
    with pytest.raises(BadName):
        check_new_name("acme", ("acme",))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Plans", "PIans"),
        ("Plans", "Рlans"),
        ("Plans", "PLANS".title()),
        ("Plans", "Plans\ufe0f"),
        ("Plans", "Pla\u034fns"),
        ("Two words", "Two  words"),
        ("茶馆", "茶馆\u3164"),
    ],
)
def test_titles_that_look_alike(one, other):
    assert title_key(one) == title_key(other)


def test_titles_that_do_not():
    assert len({title_key(title) for title in ("Plans", "Plan", "Pläns", "茶馆", "Plans 2")}) == 5


def test_a_key_is_not_long():
    assert len(title_key("\ufdfa" * 64)) == 256
    assert len(title_key("x" * 10_000)) == 256


def test_visible():
    assert is_visible("a") and is_visible("茶") and not is_visible("\u3164") and not is_visible(" \ufe0f")
