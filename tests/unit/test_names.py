"""User names: which are allowed, which are equal, which look alike."""

import pytest

from chat.identity.names import _LOOKALIKES, MAX_CHARS, BadName, clean, name_key, skeleton


@pytest.mark.parametrize(
    "name",
    [
        "ada",
        "Ada Lovelace",
        "小明",
        "小明2号",
        "David 大卫",
        "さくら",
        "ラーメン大好き",
        "김민수",
        "Олександра",
        "Γιώργος",
        "محمد",
        "דוד",
        "देवनागरी",
        "O'Brien",
        "o_O.42-x",
        "ё" * MAX_CHARS,
        "熊猫🐼",
    ],
)
def test_allowed(name):
    assert clean(name) == name


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        ("  ada \t", "ada"),
        ("ａｄａ", "ada"),
        ("\u3000小明\u3000", "小明"),
        ("e\u0301va", "éva"),
        ("sun ☀\ufe0f", "sun ☀"),
    ],
)
def test_normal_form(raw, name):
    assert clean(raw) == name


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ("", "name_empty"),
        (" \u3000 ", "name_empty"),
        ("...", "name_empty"),
        ("a" * (MAX_CHARS + 1), "name_too_long"),
        ("\ufdfa" * 5, "name_too_long"),  # five characters that normalise to ninety
        ("a" * 1_000_000, "name_too_long"),
        ("a  b", "name_spaces"),
        ("a\nb", "name_characters"),
        ("a\u0000b", "name_characters"),
        ("a\u200bb", "name_characters"),  # zero width space
        ("a\u200db", "name_characters"),  # zero width joiner
        ("a\u202eb", "name_characters"),  # right-to-left override
        ("a\u2066b", "name_characters"),  # isolate
        ("a\u061cb", "name_characters"),  # Arabic letter mark
        ("a\u2028b", "name_characters"),  # line separator
        ("a\u00adb", "name_characters"),  # soft hyphen
        ("a\ufeffb", "name_characters"),
        ("a\ue000b", "name_characters"),  # private use
        ("a\ud800b", "name_characters"),  # half a surrogate pair
        ("a\U000e0041b", "name_characters"),  # tag
        ("a\U000e0100b", "name_characters"),  # variation selector
        ("a\u3164b", "name_characters"),  # Hangul filler: an invisible letter
        ("a\u115fb", "name_characters"),
        ("a\ufffd", "name_characters"),  # replaces what could not be stored
        ("a\u2800b", "name_characters"),  # Braille blank
        ("a\u1680b", "name_characters"),  # Ogham space
        ("a\u2215b", "name_characters"),  # division slash
        ("\u0301a", "name_characters"),  # a mark without a letter
        ("a\u0321\u0322\u0327\u0328\u0331", "name_characters"),  # many marks on one letter
        ("ꮪꭵꮮ", "name_characters"),  # a script out of common use
        ("аda", "name_scripts"),  # Cyrillic а
        ("αda", "name_scripts"),  # Greek alpha
        ("адаи大", "name_scripts"),
        ("ada٣", "name_scripts"),  # Arabic digit
        ("ada\u05d0", "name_scripts"),
    ],
)
def test_refused(raw, code):
    with pytest.raises(BadName) as caught:
        clean(raw)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada", "ADA"),
        ("Straße", "STRASSE"),
        ("ａｄａ", "ada"),
        ("e\u0301va", "ÉVA"),
        ("ΣΑΣ", "σας"),
        (" ada ", "ada"),
    ],
)
def test_same_name(one, other):
    assert name_key(one) == name_key(other)


def test_key_takes_any_text():
    assert name_key("\u202e\x00 x") and name_key("") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("сосо", "coco"),  # all Cyrillic
        ("ВОСЕМ", "BOCEM"),
        ("ΑΝΝΑ", "ANNA"),  # all Greek
        ("ЁМА", "ËMA"),
        ("AIice", "Alice"),  # a capital i
        ("\u0131van", "ivan"),
        ("İvan", "ivan"),
        ("ロシア", "口シア"),
        ("丨van", "lvan"),
    ],
)
def test_looks_the_same(one, other):
    assert skeleton(one) == skeleton(other)


@pytest.mark.parametrize(
    ("one", "other"), [("вов", "bob"), ("anna", "ana"), ("小明", "小朋"), ("bob1", "bob2"), ("Ян", "Yan")]
)
def test_looks_different(one, other):
    assert skeleton(one) != skeleton(other)


def test_the_table_of_lookalikes_is_consistent():
    for letters, shapes in _LOOKALIKES:
        assert len(letters) == len(shapes)
    every = "".join(letters for letters, _ in _LOOKALIKES)
    assert len(set(every)) == len(every)
