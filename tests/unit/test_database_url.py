"""The check of a database URL that needs no SQLAlchemy agrees with SQLAlchemy's own reading of it."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import make_url

from chat.config import BadDatabaseUrl, ConfigError, check_database_url, load

BACKENDS = {"sqlite", "postgres", "postgresql"}
WORDS = "sqlite postgres postgresql mysql psycopg + : // / @ ? [ ] 5432 x %3A :memory: a=b é ١ # & .".split()
PIECES = st.sampled_from([*WORDS, " "])


def is_usable(url):
    """What the chat made of a URL when SQLAlchemy read it."""
    try:
        parsed = make_url(url)
    except Exception:
        return False
    backend = parsed.get_backend_name()
    return backend in BACKENDS and (backend != "sqlite" or parsed.database not in {None, "", ":memory:"})


def is_let_through(url):
    try:
        check_database_url(url)
    except BadDatabaseUrl:
        return False
    return True


@given(st.lists(PIECES, max_size=10).map("".join))
@example("sqlite:////var/lib/chat/chat.db")
@example("postgresql://user:pass%40word@[::1]:5432/name?host=/run&host=/tmp")
@example("postgresql+psycopg2://host/name")
@example("postgresql://host:port/name")
@example("sqlite:///%3Amemory%3A")
@example("+sqlite:///chat.db")
def test_it_lets_through_what_sqlalchemy_can_read(url):
    assert is_let_through(url) == is_usable(url)


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense", "sqlite://", "postgresql://host:port/name"])
def test_a_useless_url_stops_the_start(url):
    with pytest.raises(ConfigError, match="CHAT_DATABASE_URL"):
        load({"CHAT_DATABASE_URL": url}, {})
