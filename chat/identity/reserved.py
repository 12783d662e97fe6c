"""Names that nobody may register and titles that no user may give to a room, and which titles look alike. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from ..wire.envelope import DELETED_NAME
from .names import INVISIBLE, BadName, clean, name_key, skeleton

#: Who addresses everybody, runs the site, or speaks for it; and the lobby, as the page calls it.
_ENGLISH = (
    "all everyone everybody here channel room lobby admin admins administrator administrators sysadmin moderator"
    " moderators mod mods operator operators owner root superuser system server staff support helpdesk security"
    " official webmaster postmaster chat nobody anonymous"
).split()
_CHINESE = (
    "所有人 全体 全体成员 全體 全體成員 大家 在线成员 管理员 管理員 系统管理员 系統管理員 超级管理员 超級管理員"
    " 版主 房主 群主 系统 系統 系统消息 系統消息 系统通知 系統通知 服务器 伺服器 官方 客服 客服中心 大厅 大廳"
    " 匿名 匿名用户"
).split()
_SHOWN_BY_THE_PAGE = (DELETED_NAME, "deleted user", "已注销的账号", "已註銷的帳號")
#: Digits that stand in for letters.
_DIGITS = str.maketrans("013", "ole")
#: A text of 64 characters that is longer than this in its normal form is compared by its beginning. PostgreSQL's index
#: takes no longer one.
_KEY_CHARS = 256
_VARIATION_SELECTORS = frozenset(map(chr, range(0xFE00, 0xFE10)))


def is_reserved(text: str, more: Iterable[str] = ()) -> bool:
    """Return whether a name or a title is a reserved word or looks like one; `more` are a site's own words."""
    reserved = _keys(tuple(more))
    return any(_letters(key) in reserved for key in (name_key(text), _drawn(text)))


def check_new_name(raw: str, more: Iterable[str] = ()) -> str:
    """Return `raw` as a name that a new user may register, in its normal form; raise BadName."""
    name = clean(raw)
    if is_reserved(name, more):
        raise BadName("name_reserved", f"The name {name!r} is reserved.")
    return name


def title_key(title: str) -> str:
    """Return a key that is the same for titles of rooms that look alike."""
    seen = "".join(char for char in title if char not in INVISIBLE and char not in _VARIATION_SELECTORS)
    return skeleton(" ".join(seen.split()))[:_KEY_CHARS]


def is_visible(title: str) -> bool:
    """Return whether a title has a character that can be seen."""
    return bool(title_key(title))


@lru_cache
def _keys(more: tuple[str, ...]) -> frozenset[str]:
    words = (*_ENGLISH, *_CHINESE, *_SHOWN_BY_THE_PAGE, *more)
    # A capital I looks like a small l, so "ADMIN" and "admin" are drawn differently.
    spellings = {form for word in words for form in (word, word.upper(), word.capitalize())}
    return frozenset(
        letters for one in spellings for key in (name_key(one), _drawn(one)) if (letters := _letters(key))
    )


def _drawn(text: str) -> str:
    return title_key(text).translate(_DIGITS)


def _letters(text: str) -> str:
    """Leave out what decorates a word: spaces, punctuation, symbols."""
    return "".join(char for char in text if char.isalnum())
