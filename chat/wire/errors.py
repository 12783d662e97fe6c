"""The errors and close codes that a client can see, and whether it should reconnect after each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from .envelope import Identity


class CloseCode(IntEnum):
    """Why a connection was closed. RFC 6455 section 7.4.1 below 4000, ours from 4000."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    INVALID_DATA = 1007
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTARTING = 1012
    FULL = 1013
    TOKEN = 4401
    FORBIDDEN = 4403
    TOO_SLOW = 4408
    FLOODING = 4429


class Reconnect(StrEnum):
    """What a client should do after a close; docs/protocol.md explains each."""

    BACKOFF = "with jittered backoff"
    LONGER = "after a longer backoff"
    FRESH_TOKEN = "once, with a fresh token"
    RESUME = "with jittered backoff, then resume"
    RETRY_AFTER = "after retry_after"
    NEVER = "no"


RECONNECT: dict[CloseCode, Reconnect] = {
    CloseCode.NORMAL: Reconnect.NEVER,
    CloseCode.GOING_AWAY: Reconnect.BACKOFF,
    CloseCode.PROTOCOL_ERROR: Reconnect.BACKOFF,
    CloseCode.UNSUPPORTED: Reconnect.BACKOFF,
    CloseCode.INVALID_DATA: Reconnect.BACKOFF,
    CloseCode.TOO_BIG: Reconnect.BACKOFF,
    CloseCode.INTERNAL: Reconnect.BACKOFF,
    CloseCode.RESTARTING: Reconnect.BACKOFF,
    CloseCode.FULL: Reconnect.LONGER,
    CloseCode.TOKEN: Reconnect.FRESH_TOKEN,
    CloseCode.FORBIDDEN: Reconnect.NEVER,
    CloseCode.TOO_SLOW: Reconnect.RESUME,
    CloseCode.FLOODING: Reconnect.RETRY_AFTER,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error: a code for programs, a sentence for users, and the close code that follows, if any."""

    code: str
    en: str
    zh: str
    close: CloseCode | None = None

    def sentence(self, language: str) -> str:
        """Return the sentence in `language` ("zh" or "en")."""
        return self.zh if language == "zh" else self.en


#: The original server sent this sentence in every language, and its clients compare with it.
EXPIRED = "token过期"

FAILURES: dict[str, Failure] = {
    row.code: row
    for row in (
        Failure("bad_json", "This is not valid JSON.", "消息不是有效的 JSON。"),
        Failure("not_an_object", "A message must be a JSON object.", "消息必须是 JSON 对象。"),
        Failure("unknown_type", "Unknown message type.", "没有这种消息类型。"),
        Failure("bad_data", "`data` must be a string.", "data 必须是文本。"),
        Failure("too_long", "The message is too long.", "消息太长了。"),
        Failure(
            "bad_characters",
            "The message contains control characters that can't be sent.",
            "消息中含有不能发送的控制字符。",
        ),
        Failure("bad_id", "`id` must be a string of 1 to 64 characters.", "id 必须是 1 到 64 个字符的文本。"),
        Failure("bad_room", "`room` must be a room's name.", "room 必须是房间名。"),
        Failure("missing_to", "Put the recipient's name in `to`.", "请在 to 中写明收信人。"),
        Failure(
            "bad_to",
            "`to` must be a user's name, `to_id` a user's id.",
            "to 必须是用户名，to_id 必须是用户的 id。",
        ),
        Failure("unknown_user", "There's no user with that name.", "没有叫这个名字的人。"),
        Failure(
            "account_deleted",
            "This account has been deleted. It can't receive messages.",
            "该账号已注销，不能再接收消息。",
        ),
        Failure(
            "ambiguous_to",
            "Several users have that name. Choose one of them.",
            "有多个用户叫这个名字，请选择其中一个。",
        ),
        Failure(
            "unknown_room",
            "This room doesn't exist, or you don't have access to it.",
            "没有这个房间，或者你不能进入。",
        ),
        Failure("not_joined", "Join the room first.", "请先加入房间。"),
        Failure("too_many_rooms", "You're in too many rooms.", "房间太多了。"),
        Failure(
            "bad_since",
            "`since` must be an integer of 0 or more, `epoch` a string.",
            "since 必须是非负整数，epoch 必须是文本。",
        ),
        Failure("bad_seq", "`seq` must be an integer of 0 or more.", "seq 必须是非负整数。"),
        Failure(
            "store_unavailable",
            "The message couldn't be saved. Try again in a moment.",
            "消息暂时无法保存，请稍后重试。",
        ),
        Failure(
            "id_conflict",
            "This `id` has already been used for another message.",
            "这个 id 已用于另一条消息。",
        ),
        Failure("binary", "Only text messages are supported.", "这里只接受文本消息。"),
        Failure("rate_limited", "You're sending too fast. Wait a moment.", "发送太快，请稍候再发。"),
        Failure(
            "flooding",
            "You kept sending too fast. The connection was closed.",
            "持续发送过快，连接已关闭。",
            CloseCode.FLOODING,
        ),
        Failure(
            "quota_exceeded",
            "You've written as much as one person may in a day. Wait until tomorrow.",
            "今天写的内容已达到每人每天的上限，请明天再发。",
        ),
        Failure("token_expired", EXPIRED, EXPIRED, CloseCode.TOKEN),
        Failure("token_invalid", EXPIRED, EXPIRED, CloseCode.TOKEN),
        Failure(
            "token_mismatch",
            "That token belongs to another user.",
            "该令牌属于其他用户。",
            CloseCode.TOKEN,
        ),
        Failure("kicked", "You were removed from the chat.", "你已被移出聊天室。", CloseCode.FORBIDDEN),
        Failure("banned", "You've been banned from the chat.", "你已被禁止进入聊天室。", CloseCode.FORBIDDEN),
        Failure(
            "server_full", "The chat is full. Try again later.", "聊天室已满，请稍后再试。", CloseCode.FULL
        ),
        Failure(
            "too_many_for_user",
            "You have too many open connections.",
            "你打开的连接太多了。",
            CloseCode.FULL,
        ),
        Failure(
            "too_many_for_address",
            "There are too many connections from your address.",
            "来自你所在地址的连接太多了。",
            CloseCode.FULL,
        ),
        Failure(
            "room_taken",
            "There's already a room with that name, or one that looks like it.",
            "已经有叫这个名字或名字看起来一样的房间。",
        ),
        Failure(
            "reserved_title", "That name is reserved. Choose another one.", "这个名字是保留的，请换一个。"
        ),
        Failure("rooms_closed", "Rooms can't be created here.", "这里不能新建房间。"),
        Failure(
            "forbidden", "You don't have permission to do that in this room.", "你无权在这个房间这样做。"
        ),
        Failure(
            "last_owner",
            "A room needs an owner. Make someone else an owner first.",
            "房间必须有房主，请先将他人设为房主。",
        ),
        Failure(
            "unknown_invitation",
            "This invitation doesn't exist or is no longer valid.",
            "没有这个邀请，或者它已经失效。",
        ),
        Failure(
            "invitation_declined",
            "They declined an invitation to this room recently. Try again tomorrow.",
            "对方最近拒绝了这个房间的邀请，请明天再试。",
        ),
        Failure(
            "too_many_invitations",
            "You've invited too many people. Wait until some have answered, or try again later.",
            "你邀请的人太多了，请等待对方回复，或稍后再试。",
        ),
        Failure("fixed_title", "A public room can't be renamed.", "公开房间不能改名。"),
        Failure(
            "bad_title",
            "`title` must be 1 to 64 printable characters. For public rooms: no slash, and no dm: or p- at the start.",
            "title 必须是 1 到 64 个可见字符；公开房间名不能含斜杠，也不能以 dm: 或 p- 开头。",
        ),
        Failure(
            "bad_topic",
            "`topic` must be a string of up to 250 printable characters.",
            "topic 必须是不超过 250 个可见字符的文本。",
        ),
        Failure("bad_kind", "`kind` must be public or private.", "kind 必须是 public 或 private。"),
        Failure("bad_flag", "`ephemeral` must be true or false.", "ephemeral 必须是 true 或 false。"),
        Failure("bad_role", "`role` must be owner, admin or member.", "role 必须是 owner、admin 或 member。"),
        Failure("bad_username", "`username` must be a user's name.", "username 必须是用户名。"),
        Failure("bad_limit", "`limit` must be an integer from 1 to 200.", "limit 必须是 1 到 200 的整数。"),
        Failure(
            "bad_cursor",
            "`before` or `after` must be the `next` of an earlier response.",
            "before 或 after 必须是响应中 next 的值。",
        ),
        Failure(
            "bad_range",
            "Use at most one of `before`, `after` and `around`.",
            "before、after、around 最多只能给出一个。",
        ),
        Failure(
            "bad_query",
            "`q` must be a string of up to 100 characters with something to search for.",
            "q 必须是不超过 100 个字符的文本，并写明要找什么。",
        ),
        Failure(
            "search_busy",
            "Too many searches are running. Try again in a moment.",
            "正在进行的搜索太多，请稍后再试。",
        ),
        Failure(
            "search_too_long",
            "This search takes too long. Search for fewer or rarer words, or in one room only.",
            "这次搜索耗时太长。请减少字词、换用更少见的字词，或只搜索一个房间。",
        ),
        Failure(
            "too_many_requests",
            "You've made too many requests. Try again in a moment.",
            "请求太多，请稍后再试。",
        ),
        Failure("bad_request", "The request body must be a JSON object.", "请求体必须是 JSON 对象。"),
        Failure(
            "not_json",
            "Send JSON with the header Content-Type: application/json.",
            "请发送 JSON，并注明 Content-Type: application/json。",
        ),
        Failure("too_large", "The request is too large.", "请求太大了。"),
        Failure("not_found", "There's nothing at this address.", "这个地址没有内容。"),
        Failure("method_not_allowed", "This address doesn't support that method.", "这个地址不支持该方法。"),
        Failure(
            "internal",
            "Something went wrong. Please try again.",
            "服务器出错了，请重试。",
            CloseCode.INTERNAL,
        ),
    )
}


class ChatError(Exception):
    """A message or a request that cannot be served; `code` is a key of FAILURES.

    `ref` is the `id` of the message that failed, `retry_after` is in seconds, `reply` is what the sender wants the
    answer to refer to. Each is None where there is none. `users` are those whom an ambiguous name fits.
    """

    def __init__(
        self,
        code: str,
        ref: str | None = None,
        retry_after: float | None = None,
        users: tuple[Identity, ...] = (),
    ) -> None:
        super().__init__(code)
        self.failure = FAILURES[code]
        self.ref = ref
        self.retry_after = retry_after
        self.users = users
        self.reply: str | int | None = None

    @property
    def code(self) -> str:
        return self.failure.code
