"""`flask chat …`: users, tokens, and what is asked of the running servers through the control table."""

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
from .identity.passwords import BadPassword, Passwords
from .rooms.group_commit import envelope_of
from .service import ANSWER_SECONDS, ChatService, UnknownRoom, UnknownUser
from .store.history import RoomTaken, StoreUnavailable
from .store.migrate import upgrade
from .store.users import User
from .wire.codec import chat_json

P = ParamSpec("P")

chat_cli = AppGroup("chat", help="Users, tokens, and the running servers of the chat.")
database_cli = AppGroup("db", help="The chat's tables.")
chat_cli.add_command(database_cli)

#: What a command may fail with that is the caller's affair: shown as a sentence, exit code 1.
_REFUSALS = (BadName, NameTaken, BadPassword, RoomTaken, ValueError)
DAY_MS = 86_400_000


def service() -> ChatService:
    """Return the chat of the current app."""
    return current_app.extensions["chat"]


def speaking(command: Callable[P, None]) -> Callable[P, None]:
    """Turn refusals into sentences on stderr and exit code 1."""

    @wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except UnknownUser as error:
            raise click.ClickException(f"There is no user named {error.args[0]!r}.") from error
        except UnknownRoom as error:
            raise click.ClickException(f"There is no room named {error.args[0]!r}.") from error
        except StoreUnavailable as error:
            raise click.ClickException(f"The database cannot be used now: {error}") from error
        except _REFUSALS as error:
            raise click.ClickException(str(error)) from error

    return wrapper


@chat_cli.command("create-user")
@click.argument("name")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password from the first line of standard input."
)
@speaking
def create_user(name: str, password_stdin: bool) -> None:
    """Create a user NAME who can log in to the site; asks for the password."""
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    passwords.check(password)
    chat = service()
    user = chat.users.create(name, Passwords(chat.run_blocking).hash(password))
    click.echo(f"Created {user.username} with the id {user.id}.")


@chat_cli.command("token")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--ttl", type=click.FloatRange(min=1), help="Seconds that the tokens last, CHAT_TOKEN_TTL if not given."
)
@click.option("--create", is_flag=True, help="Create users who are missing, without a password.")
@speaking
def token(names: Sequence[str], ttl: float | None, create: bool) -> None:
    """Print one socket token a line for each NAME, in their order; `-` reads names from standard input, one a line."""
    chat = service()
    wanted = list(_expand(names))
    users = chat.users.create_many(wanted) if create else _known(chat, wanted)
    for user in users:
        click.echo(chat.token_for(user.identity, ttl))


def _expand(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name == "-":
            yield from (line.strip() for line in sys.stdin if line.strip())
        else:
            yield name


def _known(chat: ChatService, names: Sequence[str]) -> list[User]:
    users = []
    for name, user in zip(names, chat.users.by_names(names), strict=True):
        if user is None:
            raise UnknownUser(name)
        users.append(user)
    return users


@chat_cli.command("send")
@click.argument("room")
@click.argument("text")
@speaking
def send(room: str, text: str) -> None:
    """Say TEXT in ROOM as the house; running servers tell it within a second."""
    service().send(room, text)
    click.echo(f"Said in {room}.")


@chat_cli.command("create-room")
@click.argument("title")
@click.option("--private", is_flag=True, help="For its members alone; nobody else learns that it exists.")
@click.option("--owner", metavar="NAME", help="The user who administers it.")
@click.option("--topic", default="", help="What it is about.")
@click.option("--ephemeral", is_flag=True, help="Keep nothing of what is said there.")
@speaking
def create_room(title: str, private: bool, owner: str | None, topic: str, ephemeral: bool) -> None:
    """Make a room with that TITLE, and print the name by which messages and addresses call it."""
    chat = service()
    creator = _known(chat, [owner])[0].identity if owner else None
    click.echo(
        chat.create_room(title, private=private, creator=creator, topic=topic, ephemeral=ephemeral).name
    )


@chat_cli.command("export")
@click.argument("room")
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8"),
    default="-",
    help="A file instead of the standard output.",
)
@speaking
def export(room: str, output: IO[str]) -> None:
    """Write all messages of ROOM as JSON Lines, the oldest first, in the form that they have on the wire."""
    history = service().history
    row = history.room(room)
    if row is None:
        raise UnknownRoom(room)
    for message in history.export(row.id):
        output.write(chat_json(envelope_of(message)).decode() + "\n")


@chat_cli.command("prune")
@click.option(
    "--older-than", "days", type=click.FloatRange(min=0), required=True, metavar="DAYS", help="Age in days."
)
@click.option("--room", help="Of this room alone.")
@speaking
def prune(days: float, room: str | None) -> None:
    """Delete messages that are older than so many DAYS, for good."""
    history, before = service().history, now_ms() - int(days * DAY_MS)
    row = history.room(room) if room else None
    if room and row is None:
        raise UnknownRoom(room)
    count = history.prune(row.id, before) if row is not None else history.prune_all(before)
    click.echo(f"{count} messages deleted.")


@chat_cli.command("who")
@click.argument("room", default="lobby")
def who(room: str) -> None:
    """Print who is in ROOM (lobby), one name a line."""
    people = service().request_roster(room)
    if people is None:
        raise click.ClickException(
            f"No running server answered within {ANSWER_SECONDS:g} s. A server listens from its first visitor on."
        )
    for identity in people:
        click.echo(identity.username)
    if not people:
        click.echo(f"Nobody is in {room}.", err=True)


@chat_cli.command("kick")
@click.argument("name")
@speaking
def kick(name: str) -> None:
    """Close the sockets of NAME, and let no token count that was issued before."""
    service().kick(name)
    click.echo(f"Kicked {name}.")


@chat_cli.command("ban")
@click.argument("name")
@speaking
def ban(name: str) -> None:
    """Close the sockets of NAME and let NAME in no more."""
    service().ban(name)
    click.echo(f"Banned {name}.")


@chat_cli.command("unban")
@click.argument("name")
@speaking
def unban(name: str) -> None:
    """Let NAME in again."""
    service().unban(name)
    click.echo(f"{name} may come in again.")


@database_cli.command("upgrade")
def upgrade_database() -> None:
    """Bring the chat's tables to the newest revision; servers do that at their start unless told not to."""
    upgrade(service().database_url)
    click.echo("The chat's tables are up to date.")
