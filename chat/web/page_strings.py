"""Every sentence that the chat page's scripts show, translated here so that they carry no catalogue.

`{holes}` are filled by static/js/texts.js. Keys that end in `_one` and `_other` are the plural forms that
Intl.PluralRules chooses between.
"""

from __future__ import annotations

from ..i18n import gettext as _


def page_strings() -> dict[str, str]:
    """Return the sentences in this request's language, by the key that the scripts know."""
    return _connection() | _messages() | _history() | _people() | _rooms() | _search() | _notices()


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
        "new_since": _("New since {when}"),
        "jump": _("Newest"),
        "jump_one": _("{n} new message"),
        "jump_other": _("{n} new messages"),
        "over_one": _("{n} character too long"),
        "over_other": _("{n} characters too long"),
        "left_one": _("{n} character left"),
        "left_other": _("{n} characters left"),
        "write_room": _("Message everyone"),
        "write_in": _("Message {name}"),
        "write_to": _("Message {name}"),
        "empty_room": _("Nothing said yet"),
        "empty_public_hint": _("Everybody may come in and read what is written here."),
        "empty_private_hint": _("Only members read what is written here."),
        "empty_direct": _("Just you and {name}"),
        "empty_direct_hint": _("What you write here is seen by the two of you alone."),
        "empty_self": _("A place for yourself"),
        "empty_self_hint": _("What you write here is seen by you alone."),
    }


def _history() -> dict[str, str]:
    return {
        "loading_older": _("Loading older messages…"),
        "loading_newer": _("Loading newer messages…"),
        "load_older": _("Show older messages"),
        "load_newer": _("Show newer messages"),
        "beginning": _("This is the beginning."),
        "nothing_kept": _("Nothing is kept here: who is away misses what is said."),
        "not_loaded": _("The messages could not be loaded"),
        "try_again": _("Try again"),
        "missed_much": _("A lot was said while you were away. You can go on reading where you stopped."),
        "begun_anew": _("The history of this room has begun anew."),
        "message_gone": _("That message is no longer there."),
        "copy_link": _("Copy the link to this message"),
        "copied": _("The link is copied."),
        "unreachable": _("The server could not be reached."),
        "too_slow": _("The server took too long to answer."),
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
        "nobody_here": _("Nobody is here now."),
        "no_match": _("Nobody by that name."),
        "role_owner": _("owner"),
        "role_admin": _("admin"),
        "manage": _("Manage {name}"),
        "the_house": _("The house"),
        "gone_user": _("Somebody who is gone"),
        "write_to_whom": _("Write to somebody"),
        "write": _("Write"),
        "invite_to": _("Invite people to {name}"),
        "invite": _("Invite"),
        "invited": _("{name} was invited."),
    }


def _rooms() -> dict[str, str]:
    return {
        "mentioned_one": _("{n} mention of you"),
        "mentioned_other": _("{n} mentions of you"),
        "private_room": _("private"),
        "no_such_room": _("That room is not there, or it is not open to you."),
        "not_in_room": _("You are looking at {name}."),
        "put_out": _("You are no longer in {name}."),
        "you_left": _("You have left {name}."),
        "leave_title": _("Leave {name}?"),
        "join_room": _("Join"),
        "open_room": _("Open"),
        "no_room": _("No room by that name."),
        "rooms_one": _("{n} room"),
        "rooms_other": _("{n} rooms"),
        "show_more": _("Show more"),
    }


def _search() -> dict[str, str]:
    return {
        "searching": _("Looking…"),
        "found_none": _("Nothing was found."),
        "found_one": _("{n} message was found"),
        "found_other": _("{n} messages were found"),
        "found_more_one": _("The newest {n} message"),
        "found_more_other": _("The newest {n} messages"),
    }


def _notices() -> dict[str, str]:
    return {
        "notify_on": _("Notifications are on"),
        "notify_off": _("Notify me of direct messages and mentions"),
        "notify_blocked": _("Your browser blocks notifications from this site."),
        "in_room": _("{name} in {room}"),
        "message_from": _("New message from {name}"),
        "dismiss": _("Dismiss"),
        "open_menu": _("Open conversations"),
        "open_menu_one": _("Open conversations, {n} unread message"),
        "open_menu_other": _("Open conversations, {n} unread messages"),
        "open_chat": _("Open the chat"),
        "close_chat": _("Close the chat"),
    }
