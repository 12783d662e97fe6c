"""`flask chat …`: users, tokens, and what is asked of the running servers through the control table."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from typing import ParamSpec

import click
from flask import current_app
from flask.cli import AppGroup

from . import passwords
from .names import BadName, NameTaken
from .passwords import BadPassword, Passwords
from .state import ANSWER_SECONDS, ChatState, UnknownUser
from .store.migrate import upgrade
from .store.users import User

P = ParamSpec("P")

chat_cli = AppGroup("chat", help="Users, tokens, and the running servers of the chat.")
database_cli = AppGroup("db", help="The chat's tables.")
chat_cli.add_command(database_cli)

#: What a command may fail with that is the caller's affair: shown as a sentence, exit code 1.
_REFUSALS = (BadName, NameTaken, BadPassword, UnknownUser)


def state() -> ChatState:
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
    chat = state()
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
    chat = state()
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


def _known(chat: ChatState, names: Sequence[str]) -> list[User]:
    users = []
    for name, user in zip(names, chat.users.by_names(names), strict=True):
        if user is None:
            raise UnknownUser(name)
        users.append(user)
    return users


@chat_cli.command("send")
@click.argument("room")
@click.argument("text")
def send(room: str, text: str) -> None:
    """Say TEXT in ROOM as the house, on every running server."""
    try:
        state().send(room, text)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"Handed to the running servers for {room}.")


@chat_cli.command("who")
@click.argument("room", default="lobby")
def who(room: str) -> None:
    """Print who is in ROOM (lobby), one name a line."""
    people = state().ask_roster(room)
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
    state().kick(name)
    click.echo(f"Kicked {name}.")


@chat_cli.command("ban")
@click.argument("name")
@speaking
def ban(name: str) -> None:
    """Close the sockets of NAME and let NAME in no more."""
    state().ban(name)
    click.echo(f"Banned {name}.")


@chat_cli.command("unban")
@click.argument("name")
@speaking
def unban(name: str) -> None:
    """Let NAME in again."""
    state().unban(name)
    click.echo(f"{name} may come in again.")


@database_cli.command("upgrade")
def upgrade_database() -> None:
    """Bring the chat's tables to the newest revision; servers do that at their start unless told not to."""
    upgrade(state().database_url)
    click.echo("The chat's tables are up to date.")
