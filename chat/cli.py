"""`flask chat …`: users, tokens, rooms, and requests to the running servers through the control table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import IO, ParamSpec

import click
from flask import current_app
from flask.cli import AppGroup

from .identity import passwords
from .identity.guard import now_ms
from .identity.names import BadName, NameTaken
from .identity.passwords import BadPassword, MissingArgon2, Passwords
from .rooms.stored_messages import envelope_of
from .service import ANSWER_SECONDS, AmbiguousUser, ChatService, UnknownRoom, UnknownUser
from .service.receiver import existing, find_user
from .store.history import RoomTaken, StoreUnavailable
from .store.user import User
from .wire.messages import chat_json

P = ParamSpec("P")

chat_cli = AppGroup("chat", help="Manage the chat's users, rooms and running servers.")
database_cli = AppGroup("db", help="Manage the chat's tables.")
chat_cli.add_command(database_cli)

#: Errors that the caller can correct: shown as one sentence, exit code 1.
_REFUSALS = (AmbiguousUser, BadName, NameTaken, BadPassword, MissingArgon2, RoomTaken, ValueError)
DAY_MS = 86_400_000


def service() -> ChatService:
    """Return the chat of the current app."""
    return current_app.extensions["chat"]


def reporting_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Report expected errors as one sentence on stderr, with exit code 1."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except UnknownUser as error:
            raise click.ClickException(f"There is no user named {error.args[0]!r}.") from error
        except UnknownRoom as error:
            raise click.ClickException(f"There is no room named {error.args[0]!r}.") from error
        except StoreUnavailable as error:
            raise click.ClickException(f"The database is unavailable: {error}") from error
        except _REFUSALS as error:
            raise click.ClickException(str(error)) from error

    return wrapper


@chat_cli.command("create-user")
@click.argument("name")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)
@reporting_errors
def create_user(name: str, password_stdin: bool) -> None:
    """Create the user NAME, who can log in to the site. Prompts for a password."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    passwords.check(password, name)
    chat = service()
    user = chat.users.create(name, Passwords(chat.run_hashing).hash(password))
    click.echo(f"Created {user.username} (id {user.id}).")


@chat_cli.command("token")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--ttl", type=click.FloatRange(min=1), help="Lifetime of the tokens in seconds (default: CHAT_TOKEN_TTL)."
)
@click.option("--create", is_flag=True, help="Create missing users, without a password.")
@reporting_errors
def token(names: Sequence[str], ttl: float | None, create: bool) -> None:
    """Print a socket token for each NAME, one per line, in order. `-` reads names from standard input, one per line."""
    chat = service()
    all_names = list(_expand(names))
    users = chat.users.create_many(all_names) if create else _existing(chat, all_names)
    for user in users:
        click.echo(chat.token_for(user.identity, ttl))


def _expand(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield name


def _existing(chat: ChatService, names: Sequence[str]) -> list[User]:
    return [existing(name, user) for name, user in zip(names, chat.users.by_names(names), strict=True)]


@chat_cli.command("send")
@click.argument("room")
@click.argument("text")
@reporting_errors
def send(room: str, text: str) -> None:
    """Send TEXT to ROOM as a system message. Running servers deliver it within a second."""
    service().send(room, text)
    click.echo(f"Sent to {room}.")


@chat_cli.command("create-room")
@click.argument("title")
@click.option("--private", is_flag=True, help="Only members can see the room.")
@click.option("--owner", metavar="NAME", help="The user who owns the room.")
@click.option("--topic", default="", help="The room's topic.")
@click.option("--ephemeral", is_flag=True, help="Don't store messages.")
@reporting_errors
def create_room(title: str, private: bool, owner: str | None, topic: str, ephemeral: bool) -> None:
    """Create a room named TITLE, and print its name as used in messages and URLs."""
    chat = service()
    creator = _existing(chat, [owner])[0].identity if owner else None
    click.echo(
        chat.create_room(title, private=private, creator=creator, topic=topic, ephemeral=ephemeral).name
    )


@chat_cli.command("export")
@click.argument("room")
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8"),
    default="-",
    help="Output file (default: standard output).",
)
@reporting_errors
def export(room: str, output: IO[str]) -> None:
    """Export all messages of ROOM as JSON Lines, oldest first, as they appear on the wire."""
    history = service().history
    row = history.room(room)
    if row is None:
        raise UnknownRoom(room)
    for message in history.export(row.id):
        output.write(chat_json(envelope_of(message)).decode() + "\n")


@chat_cli.command("prune")
@click.option(
    "--older-than",
    "days",
    type=click.FloatRange(min=0),
    required=True,
    metavar="DAYS",
    help="Minimum age in days.",
)
@click.option("--room", help="Only this room.")
@reporting_errors
def prune(days: float, room: str | None) -> None:
    """Permanently delete messages older than DAYS."""
    history, before = service().history, now_ms() - int(days * DAY_MS)
    row = history.room(room) if room else None
    if room and row is None:
        raise UnknownRoom(room)
    count = history.prune(row.id, before) if row is not None else history.prune_all(before)
    click.echo(f"Deleted {count} messages.")


@chat_cli.command("who")
@click.argument("room", default="lobby")
@reporting_errors
def who(room: str) -> None:
    """List the users connected to ROOM (default: lobby), one per line."""
    people = service().fetch_roster(room)
    if people is None:
        raise click.ClickException(
            f"No running server answered within {ANSWER_SECONDS:g} s. A server starts answering with its first client."
        )
    for identity in people:
        click.echo(identity.username)
    if not people:
        click.echo(f"No one is in {room}.", err=True)


_by_id = click.option(
    "--id", "by_id", is_flag=True, help="NAME is a user's id: for a name that fits several users."
)


def _whom(name: str, by_id: bool) -> dict[str, str]:
    return {"user_id": name} if by_id else {"username": name}


@chat_cli.command("kick")
@click.argument("name")
@_by_id
@reporting_errors
def kick(name: str, by_id: bool) -> None:
    """Close NAME's connections and invalidate all tokens issued so far."""
    service().kick(**_whom(name, by_id))
    click.echo(f"Kicked {name}.")


@chat_cli.command("ban")
@click.argument("name")
@_by_id
@reporting_errors
def ban(name: str, by_id: bool) -> None:
    """Close NAME's connections and keep NAME out of the chat until `unban`."""
    service().ban(**_whom(name, by_id))
    click.echo(f"Banned {name}.")


@chat_cli.command("unban")
@click.argument("name")
@_by_id
@reporting_errors
def unban(name: str, by_id: bool) -> None:
    """Let NAME back into the chat."""
    service().unban(**_whom(name, by_id))
    click.echo(f"Unbanned {name}.")


@chat_cli.command("reset-link")
@click.argument("name")
@_by_id
@click.option("--hours", type=click.FloatRange(min=0, min_open=True), default=24, show_default=True)
@click.option("--site", default="http://127.0.0.1:8000", show_default=True, help="The site's address.")
@reporting_errors
def reset_link(name: str, by_id: bool, hours: float, site: str) -> None:
    """Print a link at which NAME, who has forgotten the password, can choose a new one. It works once."""
    chat = service()
    whom = _whom(name, by_id)
    user = find_user(chat.users, whom.get("username"), whom.get("user_id"))
    if chat.load_reset_link is None:
        raise click.ClickException(
            "This site has no page of the chat's for passwords. Decorate a function that returns a link to a page of "
            "yours with @chat.reset_link."
        )
    with chat.app.test_request_context(base_url=site):
        click.echo(chat.load_reset_link(user.identity, hours))
    click.echo(
        f"It works once, within {hours:g} hours. Whoever has it can log in as {user.username}.", err=True
    )


@chat_cli.command("delete-user")
@click.argument("name")
@_by_id
@reporting_errors
def delete_user(name: str, by_id: bool) -> None:
    """End NAME's account in the chat for good: connections, memberships, tokens. Rooms are handed on."""
    chat = service()
    user = find_user(chat.users, None if by_id else name, name if by_id else None)
    chat.delete_account(user.id)
    click.echo(f"Deleted {user.username} (id {user.id}).")


@chat_cli.command("repair-owners")
@click.option("--apply", is_flag=True, help="Change the rooms. Without it they are only listed.")
@reporting_errors
def repair_owners(apply: bool) -> None:
    """List the rooms that have no owner, and with --apply hand them on.

    A room that a user created goes to its longest-standing admin, else to its longest-standing member. Memberships of
    deleted accounts end.
    """
    chat = service()
    found = chat.history.ownerless_rooms()
    for row in found:
        heir = chat.rooms.repair_owner(row) if apply else None
        outcome = f": {heir.username} (id {heir.id}) is the owner now" if heir else ""
        click.echo(f"{row.title} ({row.name}){outcome}")
    if not found:
        click.echo("Every room has an owner.", err=True)
    elif not apply:
        click.echo("Nothing was changed. Run it with --apply to hand these rooms on.", err=True)


@database_cli.command("upgrade")
@reporting_errors
def upgrade_database() -> None:
    """Upgrade the chat's tables to the newest revision. Servers do so at start unless CHAT_UPGRADE_AT_START is 0."""
    service().stores.upgrade()
    click.echo("The chat's tables are up to date.")
