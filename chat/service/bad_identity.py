"""What an identity loader may get wrong, in sentences that say what to do; shown on the page and written to the log."""

from __future__ import annotations

from typing import NamedTuple


class _Fault(NamedTuple):
    """One way in which an identity cannot be used: `{loader}`, `{value}` and `{other}` are filled in."""

    en: str
    zh: str


_FAULTS = {
    "not_identity": _Fault(
        "The chat's {loader} returned {value}. It must return Identity(id, username), or None for a visitor who is not "
        "logged in.",
        "聊天的 {loader} 返回了 {value}。它必须返回 Identity(id, username)；访客未登录时返回 None。",
    ),
    "no_id": _Fault(
        "The chat's {loader} returned a user without an id ({value}). Return the user's primary key.",
        "聊天的 {loader} 返回的用户没有 id（{value}）。请返回用户的主键。",
    ),
    "no_username": _Fault(
        "The chat's {loader} returned no username for user {other} ({value}). Every user needs a name of their own: "
        "return an Identity with one from a function decorated with @chat.identity_loader.",
        "聊天的 {loader} 没有给用户 {other} 返回用户名（{value}）。每个用户都要有自己的名字："
        "请在用 @chat.identity_loader 装饰的函数里返回带名字的 Identity。",
    ),
    "name_empty": _Fault(
        "The chat's {loader} returned an empty username for user {other}. Return a name that others can see.",
        "聊天的 {loader} 给用户 {other} 返回了空的用户名。请返回他人能看到的名字。",
    ),
    "name_too_long": _Fault(
        "The chat's {loader} returned a username of {value} characters for user {other}. A name has at most {most}.",
        "聊天的 {loader} 给用户 {other} 返回的用户名有 {value} 个字符，最多 {most} 个。",
    ),
    "name_characters": _Fault(
        "The chat's {loader} returned a username with the character {value} for user {other}. A name cannot contain "
        "control characters or characters that change the direction of text; return it without them.",
        "聊天的 {loader} 给用户 {other} 返回的用户名含有字符 {value}。"
        "名字不能含控制字符或改变文字方向的字符，请去掉后再返回。",
    ),
    "name_duplicate": _Fault(
        "The chat's {loader} returned the username {value} for this user, but user {other} has it. Return names that "
        "differ (a log-in name, an e-mail address). If user {other} was renamed or deleted on the site, call "
        "chat.rename(id, username) for that user.",
        "聊天的 {loader} 给此用户返回的用户名 {value} 已属于用户 {other}。请返回互不相同的名字（登录名、邮箱）。"
        "如果用户 {other} 在本站已改名或删除，请为其调用 chat.rename(id, username)。",
    ),
}


class BadIdentity(Exception):
    """The site's identity loader returned something that the chat cannot use; `code` says what."""

    def __init__(self, code: str, loader: str, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self._values = {"loader": loader, **values}

    def sentence(self, language: str) -> str:
        """Return what is wrong and what to do, in a language of the chat."""
        fault = _FAULTS[self.code]
        return (fault.zh if language == "zh" else fault.en).format(**self._values)

    def __str__(self) -> str:
        return self.sentence("en")
