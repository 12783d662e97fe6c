"""The tokeniser of the search, compared with SQLite's own full-text index."""

import sqlite3
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat.store import terms
from chat.store.terms import (
    fts5_document,
    fts5_query,
    index_terms,
    matches,
    parse,
    room_term,
    tsquery,
    tsvector_literal,
    tsvector_row,
)

HAN = st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5)
KANA = st.sampled_from("あいがぎぱアイガギパーっッん")
HANGUL = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
CJK = HAN | KANA | HANGUL | st.just("𠀋")
#: Ordinary text, and hostile text.
TEXT = st.text() | st.text(
    HAN | st.sampled_from("abАБéßﬁ12 ,.'\"-_*()#§我们去卡拉ok🎉\u0301\u200d\ufe0f\x00\n")
)
HOSTILE = [
    '"', '""', "'", "*", "a*", "*a", "-", "NOT a", "a AND", "OR", "NEAR(a b, 1)", "terms:a", "{a b}: c", "^a", "a+b",
    "(", ")", "a) OR (b", "\\", "'a' & !b", ":*", "<->", "a\x00b", "%", "_", ";", "--", "🎉", "❤️",
    "👨‍👩‍👧", "§1", "\ud800", "\ufffd",
]  # fmt: skip


@pytest.fixture(scope="module")
def index():
    """Return a function that tells whether a real FTS5 table with one text in it finds a query."""
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.execute("CREATE VIRTUAL TABLE search USING fts5(terms, content='', tokenize='ascii')")

    def finds(text, query, room_id=1, room_ids=(1,)):
        document = f"{room_term(room_id)} {fts5_document(text)}"
        database.execute("INSERT INTO search (rowid, terms) VALUES (1, ?)", (document,))
        try:
            wanted = fts5_query(query, room_ids)
            return wanted is not None and bool(
                database.execute("SELECT rowid FROM search WHERE search MATCH ?", (wanted,)).fetchall()
            )
        finally:
            database.execute("INSERT INTO search (search, rowid, terms) VALUES ('delete', 1, ?)", (document,))

    yield finds
    database.close()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Hello, World! it's v1.2", ["hello", "world", "it", "s", "v1", "2"]),
        ("snake_case-and/slash", ["snake", "case", "and", "slash"]),
        ("Привет, МИР; ёлка", ["привет", "мир", "елка"]),
        ("Crème BRÛLÉE straße ﬁn ｆｕｌｌ", ["creme", "brulee", "strasse", "fin", "full"]),
        ("今天去", ["今天", "天去", "去"]),
        ("我", ["我"]),
        ("卡拉OK厅", ["卡拉", "拉", "ok", "厅"]),
        ("你好,世界。", ["你好", "好", "世界", "界"]),
        ("ガギ", ["ガギ", "ギ"]),
        ("ｶﾞｷﾞ", ["ガギ", "ギ"]),
        ("かが", ["かが", "が"]),
        ("한국어", ["한국", "국어", "어"]),
        ("한국", ["한국", "국"]),
        ("รัก", ["รั", "ัก", "ก"]),
        ("हिन्दी", ["हिन्दी"]),
        ("مُحَمَّد", ["محمد"]),
        ("1️⃣ co\u00adop a\u200db", ["1", "coop", "ab"]),
        ("🎉 ❤️ ¡§…", []),
        ("İstanbul", ["istanbul"]),
        ("x" * 300, ["x" * 255, "x" * 45]),
    ],
)
def test_the_terms_of_a_text(text, expected):
    assert index_terms(text) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", ()),
        ("?! 🎉", ()),
        ("hel", ((("hel",), True),)),
        ("one Two", ((("one",), False), (("two",), True))),
        ("two one two", ((("two",), False), (("one",), False), (("two",), True))),
        ("one ?!", ((("one",), True),)),
        ("don't", ((("don", "t"), False),)),  # one letter is not searched as a prefix
        ("don't go", ((("don", "t"), False), (("go",), True))),
        ("我", ((("我",), True),)),
        ("我 hi", ((("我",), True), (("hi",), True))),
        ("我们", ((("我们",), False),)),
        ("我们去", ((("我们", "们去"), False),)),
        ("我们 去", ((("我们",), False), (("去",), True))),
        ("卡拉ok厅", ((("卡拉", "拉", "ok", "厅"), True),)),
    ],
)
def test_the_phrases_of_a_query(query, expected):
    assert parse(query) == expected


@pytest.mark.parametrize(
    ("text", "query", "found"),
    [
        ("The quick brown fox", "QUICK fo", True),
        ("The quick brown fox", "fo quick", False),  # only the last word is a prefix
        ("The quick brown fox", "rown", False),
        ("Version 3.14 of it", "3.14", True),
        ("14 of 3", "3.14", False),
        ("Naïve café", "naive cafe", True),
        ("今天晚上我们去吃饭", "我们", True),
        ("今天晚上我们去吃饭", "晚上我们去", True),
        ("今天晚上我们去吃饭", "我去", False),
        ("今天晚上我们去吃饭", "吃饭 今天", True),
        ("今天晚上我们去吃饭", "饭", True),
        ("今天晚上我们去吃饭", "上", True),
        ("今天晚上我们去吃饭", "狗", False),
        ("去卡拉OK厅", "拉ok厅", True),
        ("去卡拉OK厅", "k厅", False),
        ("カラオケ", "ｶﾗ", True),
        ("x" * 300, "x" * 290, True),
        ("anything", "", False),
        ("anything", "🎉", False),
    ],
)
def test_found_texts(index, text, query, found):
    assert matches(text, query) is found
    assert index(text, query) is found


@settings(max_examples=300, deadline=None)
@given(text=TEXT, query=TEXT)
def test_the_index_agrees_with_matches(index, text, query):
    assert index(storable(text), query) == matches(storable(text), query)


@settings(max_examples=300, deadline=None)
@given(st.data(), TEXT, TEXT)
def test_the_index_agrees_for_queries_from_the_text(index, data, before, after):
    text = storable(before + data.draw(st.text(CJK | st.sampled_from("ab1 "), min_size=1)) + after)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    query = text[begin:end]
    assert index(text, query) == matches(text, query)


@settings(max_examples=300, deadline=None)
@given(st.data(), st.text(CJK, min_size=2, max_size=60), TEXT, TEXT)
def test_every_part_of_an_unspaced_run_finds_it(index, data, run, before, after):
    begin = data.draw(st.integers(0, len(run) - 2))
    query = run[begin : data.draw(st.integers(begin + 2, len(run)))]
    text = f"{storable(before)} {run} {storable(after)}"
    assert matches(text, query)
    assert index(text, query)


@settings(max_examples=200, deadline=None)
@given(st.text(CJK, min_size=1), st.data())
def test_a_single_character_finds_texts_that_contain_it(index, text, data):
    char = data.draw(st.sampled_from(text))
    assert matches(text, char)
    assert index(text, char)


@pytest.mark.parametrize("query", HOSTILE)
def test_nothing_in_a_query_is_an_operator(index, query):
    for text in ("a b c", "x", query.replace("\ud800", "")):
        assert index(text, query) == matches(text, query)


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_the_tokenizer_of_the_index_keeps_our_terms(text):
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE VIRTUAL TABLE search USING fts5(terms, content='', tokenize='ascii')")
        database.execute("CREATE VIRTUAL TABLE words USING fts5vocab(search, instance)")
        database.execute("INSERT INTO search (rowid, terms) VALUES (1, ?)", (fts5_document(storable(text)),))
        found = database.execute("SELECT term FROM words ORDER BY offset").fetchall()
    database.close()
    assert [term for (term,) in found] == index_terms(storable(text))


def test_the_queries_for_sqlite():
    assert fts5_query("one two") == '"one" AND "two" *'
    assert fts5_query("我们 a", (7, 8)) == '("§7" OR "§8") AND "我们" AND "a"'


def test_only_the_given_rooms_are_searched(index):
    assert index("hello", "hello", room_id=12, room_ids=(3, 12))
    assert not index("hello", "hello", room_id=1, room_ids=(12, 11))
    assert index("hello", "hello", room_id=1, room_ids=())
    assert not index("1 §1 room", "§2", room_id=2, room_ids=(2,))  # a query cannot contain a room's term


@settings(max_examples=200, deadline=None)
@given(TEXT)
def test_postgresql_can_read_the_literals(text):
    pairs = tsvector_literal(text).split()
    assert all(pair.startswith("'") and "':" in pair for pair in pairs)
    assert [pair[1:].split("':")[0] for pair in pairs] == index_terms(text)
    assert all(0 < len(term.encode()) < 2046 and not set(term) & set("'\\ :") for term in index_terms(text))


def test_the_literals_for_postgresql():
    assert tsvector_row(7, tsvector_literal("我们 ok ok")) == "'§7' '我们':1 '们':2 'ok':3 'ok':4"
    assert tsquery("我们去 3.14", (7, 8)) == "('§7' | '§8') & ('我们' <-> '们去') & ('3' <-> '14':*)"
    assert tsquery("a be") == "('a') & ('be':*)"
    assert tsquery(" ? ") is None


@pytest.mark.parametrize("text", ["a " * 50_000, "我" * 50_000, "ﷺ" * 50_000, "é" * 50_000, "x" * 50_000])
def test_a_long_text_fits_into_a_tsvector(text):
    """16,383 positions, and 1 MB of lexemes, each below 2 KB."""
    found = index_terms(text)
    assert len(found) <= terms.MAX_CHARS
    assert sum(len(term.encode()) + 4 for term in found) < 1 << 20
    assert max(len(term.encode()) for term in found) < 2046


def test_a_long_query_is_cut(index):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 500)))
    assert matches(text, text)
    assert index(text, text)
    assert (
        sum(len(phrase.terms) for phrase in parse("a b c d " * 100 + text + " b" * 100_000))
        <= terms.MAX_QUERY_TERMS
    )
    assert sum(len(phrase.terms) for phrase in parse(text)) == terms.MAX_QUERY_TERMS


def test_normalising_is_idempotent():
    """Otherwise a term taken from the index would not find itself."""
    characters = (chr(code) for code in range(0x3400) if not unicodedata.category(chr(code)).startswith("C"))
    assert not [char for char in characters if terms._normal(terms._normal(char)) != terms._normal(char)]


def test_all_of_unicode_does_not_fill_the_memory():
    for code in range(0, sys.maxunicode, 16):
        index_terms(chr(code))
    assert len(terms._CHARACTERS) <= terms._Characters._MAX_CACHED


def storable(text):
    """Return the part of a text that reaches a store: no lone surrogates."""
    return text.encode(errors="ignore").decode()
