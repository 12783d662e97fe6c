"""Every sentence that the chat page's scripts show, translated here so that they carry no catalogue.

`{holes}` are filled by static/js/texts.js. Keys that end in `_one` and `_other` are the plural forms that
Intl.PluralRules chooses between.
"""

from __future__ import annotations

from .i18n import gettext as _


def page_strings() -> dict[str, str]:
    """Return the sentences in this request's language, by the key that the scripts know."""
    return _connection() | _messages() | _people() | _notices()


def _connection() -> dict[str, str]:
    return {
        "connecting": _("Connecting…"),
        "online": _("Online"),
        "offline": _("You are offline. Messages wait here until you are back."),
        "reconnecting": _("Reconnecting…"),
        "lost": _("Connection lost."),
        "restarting": _("The server is restarting."),
        "slow": _("This connection could not keep up."),
        "full": _("The chat is full."),
        "flooding": _("Too many messages at once."),
        "retry_one": _("Trying again in {n} second"),
        "retry_other": _("Trying again in {n} seconds"),
        "retry_now": _("Try now"),
        "signed_out": _("You are signed out."),
        "sign_in": _("Log in"),
        "other_user": _("Somebody else has logged in here."),
        "reload": _("Reload"),
        "kicked": _("You were removed from the chat."),
    }


def _messages() -> dict[str, str]:
    return {
        "you": _("You"),
        "for_you": _("Only you see this"),
        "sending": _("Sending…"),
        "not_sent": _("Not sent."),
        "no_answer": _("The server did not answer."),
        "not_taken": _("The server could not take this message."),
        "retry": _("Send again"),
        "discard": _("Discard"),
        "show_all": _("Show all"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "new": _("New"),
        "missed_one": _("{n} message was missed while the connection was down"),
        "missed_other": _("{n} messages were missed while the connection was down"),
        "jump": _("Newest"),
        "jump_one": _("{n} new message"),
        "jump_other": _("{n} new messages"),
        "over_one": _("{n} character too long"),
        "over_other": _("{n} characters too long"),
        "left_one": _("{n} character left"),
        "left_other": _("{n} characters left"),
        "write_room": _("Message everyone"),
        "write_to": _("Message {name}"),
        "empty_room": _("Nothing said yet"),
        "empty_room_hint": _("Whatever you write here reaches everyone who is online."),
        "empty_direct": _("Just you and {name}"),
        "empty_direct_hint": _("What you write here is seen by the two of you alone."),
        "empty_self": _("A place for yourself"),
        "empty_self_hint": _("What you write here is seen by you alone."),
    }


def _people() -> dict[str, str]:
    return {
        "room": _("Lobby"),
        "self": _("you"),
        "here_one": _("{n} person here"),
        "here_other": _("{n} people here"),
        "present": _("Online"),
        "absent": _("Not here now"),
        "unread_one": _("{n} unread message"),
        "unread_other": _("{n} unread messages"),
        "more_one": _("and {n} more"),
        "more_other": _("and {n} more"),
        "nobody": _("Nobody else is here yet."),
        "no_match": _("Nobody by that name."),
    }


def _notices() -> dict[str, str]:
    return {
        "notify_on": _("Notifications are on"),
        "notify_off": _("Notify me of direct messages and mentions"),
        "notify_blocked": _("Your browser blocks notifications from this site."),
        "in_room": _("{name} in the lobby"),
        "message_from": _("New message from {name}"),
        "dismiss": _("Dismiss"),
        "open_menu": _("Open conversations"),
        "open_menu_one": _("Open conversations, {n} unread message"),
        "open_menu_other": _("Open conversations, {n} unread messages"),
        "open_chat": _("Open the chat"),
        "close_chat": _("Close the chat"),
    }
