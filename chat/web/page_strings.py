"""Every sentence that the chat page's scripts show, translated here so that they carry no catalogue.

`{holes}` are filled by static/js/texts.js. Keys that end in `_one` and `_other` are the plural forms that
Intl.PluralRules chooses between.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from ..i18n import catalogue

#: Translates one sentence. It is named `_` below, as those who extract the sentences expect.
Translate = Callable[[str], str]


@cache
def page_strings(language: str) -> dict[str, str]:
    """Return the sentences in `language`, by the key that the scripts know."""
    groups = (_connection, _messages, _history, _people, _rooms, _search, _notices)
    return {key: text for group in groups for key, text in group(catalogue(language).gettext).items()}


def _connection(_: Translate) -> dict[str, str]:
    return {
        "connecting": _("Connecting…"),
        "online": _("Online"),
        "offline": _("You're offline. Messages will send when you're back."),
        "reconnecting": _("Reconnecting…"),
        "lost": _("Connection lost."),
        "restarting": _("The server is restarting."),
        "slow": _("Your connection is too slow."),
        "full": _("The chat is full."),
        "flooding": _("You're sending too fast."),
        "retry_one": _("Retrying in {n} second"),
        "retry_other": _("Retrying in {n} seconds"),
        "retry_now": _("Retry now"),
        "signed_out": _("You're logged out."),
        "sign_in": _("Log in"),
        "token_refused": _("This site refused to connect the chat (status {status})."),
        "token_elsewhere": _(
            "This site showed another page instead of connecting the chat (status {status}). You may need to log in."
        ),
        "other_user": _("Another account is logged in here."),
        "reload": _("Reload"),
        "kicked": _("You were removed from the chat."),
    }


def _messages(_: Translate) -> dict[str, str]:
    return {
        "you": _("You"),
        "for_you": _("Only visible to you"),
        "sending": _("Sending…"),
        "not_sent": _("Not sent."),
        "no_answer": _("The server didn't respond."),
        "not_taken": _("The server couldn't accept this message."),
        "quota": _("You've written as much as one person may in a day. You can write again: {time}."),
        "retry": _("Resend"),
        "discard": _("Discard"),
        "show_all": _("Show full message"),
        "today": _("Today"),
        "yesterday": _("Yesterday"),
        "new": _("New"),
        "new_since": _("New since {when}"),
        "jump": _("Jump to latest"),
        "jump_one": _("{n} new message"),
        "jump_other": _("{n} new messages"),
        "over_one": _("{n} character over the limit"),
        "over_other": _("{n} characters over the limit"),
        "left_one": _("{n} character left"),
        "left_other": _("{n} characters left"),
        "write_room": _("Message everyone"),
        "write_in": _("Message {name}"),
        "write_to": _("Message {name}"),
        "empty_room": _("No messages yet"),
        "empty_public_hint": _("Anyone can join and read the messages here."),
        "empty_private_hint": _("Only members can read the messages here."),
        "empty_direct": _("Just you and {name}"),
        "empty_direct_hint": _("Only the two of you can see these messages."),
        "empty_self": _("Notes to yourself"),
        "empty_self_hint": _("Only you can see these messages."),
    }


def _history(_: Translate) -> dict[str, str]:
    return {
        "loading_older": _("Loading older messages…"),
        "loading_newer": _("Loading newer messages…"),
        "load_older": _("Show older messages"),
        "load_newer": _("Show newer messages"),
        "beginning": _("This is the start of the conversation."),
        "nothing_kept": _("Messages aren't saved here. Anyone offline will miss them."),
        "not_loaded": _("Couldn't load messages"),
        "try_again": _("Try again"),
        "missed_much": _("You missed a lot of messages. You can pick up where you left off."),
        "begun_anew": _("This room's history has been reset."),
        "message_gone": _("That message no longer exists."),
        "copy_link": _("Copy link to message"),
        "copied": _("Link copied"),
        "unreachable": _("Couldn't reach the server."),
        "too_slow": _("The server took too long to respond."),
    }


def _people(_: Translate) -> dict[str, str]:
    return {
        "room": _("Lobby"),
        "self": _("you"),
        "here_one": _("{n} online"),
        "here_other": _("{n} online"),
        "present": _("Online"),
        "absent": _("Offline"),
        "unread_one": _("{n} unread message"),
        "unread_other": _("{n} unread messages"),
        "more_one": _("and {n} more"),
        "more_other": _("and {n} more"),
        "nobody": _("No one else is here yet."),
        "nobody_here": _("No one is online right now."),
        "no_match": _("No people found"),
        "role_owner": _("owner"),
        "role_admin": _("admin"),
        "manage": _("Manage {name}"),
        "the_house": _("System"),
        "gone_user": _("Deleted account"),
        "gone_peer": _("This account has been deleted. You can't send messages here any more."),
        "write_to_whom": _("New direct message"),
        "write": _("Message"),
        "invite_to": _("Invite people to {name}"),
        "invite": _("Invite"),
        "invited": _("{name} was invited."),
    }


def _rooms(_: Translate) -> dict[str, str]:
    return {
        "mentioned_one": _("{n} mention"),
        "mentioned_other": _("{n} mentions"),
        "private_room": _("private"),
        "no_such_room": _("This room doesn't exist, or you don't have access to it."),
        "not_in_room": _("You're viewing {name}."),
        "put_out": _("You're no longer in {name}."),
        "you_left": _("You left {name}."),
        "leave_title": _("Leave {name}?"),
        "join_room": _("Join"),
        "open_room": _("Open"),
        "no_room": _("No rooms found"),
        "rooms_one": _("{n} room"),
        "rooms_other": _("{n} rooms"),
        "show_more": _("Show more"),
        "invited_by": _("{name} invited you to {room}."),
        "invited_you": _("{name} invited you"),
        "accept": _("Accept"),
        "decline": _("Decline"),
        "accept_invitation": _("Accept {name}'s invitation to {room}"),
        "decline_invitation": _("Decline {name}'s invitation to {room}"),
        "you_declined": _("You declined the invitation to {name}."),
        "invitations_one": _("{n} invitation"),
        "invitations_other": _("{n} invitations"),
    }


def _search(_: Translate) -> dict[str, str]:
    return {
        "searching": _("Searching…"),
        "found_none": _("No messages found"),
        "found_one": _("{n} message found"),
        "found_other": _("{n} messages found"),
        "found_more_one": _("Showing the latest {n} message"),
        "found_more_other": _("Showing the latest {n} messages"),
    }


def _notices(_: Translate) -> dict[str, str]:
    return {
        "notify_on": _("Notifications are on"),
        "notify_off": _("Notify me about direct messages and mentions"),
        "notify_blocked": _("Your browser is blocking notifications from this site."),
        "in_room": _("{name} in {room}"),
        "message_from": _("New message from {name}"),
        "dismiss": _("Dismiss"),
        "open_menu": _("Open conversations"),
        "open_menu_one": _("Open conversations, {n} unread message"),
        "open_menu_other": _("Open conversations, {n} unread messages"),
        "open_chat": _("Open chat"),
        "close_chat": _("Close chat"),
    }
