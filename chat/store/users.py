"""The users' table: who exists, by which name, and since when tokens count."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from ..identity.names import NameTaken, clean, name_key, skeleton
from ..wire.envelope import Identity
from .engine import Run, lock
from .members import rename
from .models import now_ms
from .models import users as table
from .transactions import HistoryTransactions
from .user import User

#: Random bytes of an id: as good as a UUID's, and 12 characters instead of 32 in every roster entry and message.
ID_BYTES = 9
_COLUMNS = tuple(table.c[name] for name in User._fields)
#: Names looked up in one statement: SQLite takes no more than some thousand values.
_CHUNK = 500


class Users:
    """Create, find and end users, each call one transaction. `run(fn)` runs fn off the event loop."""

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def get(self, id: str) -> User | None:
        """Return the user of that id; None for an unknown or deleted one."""
        return self._db.read(lambda connection: _find(connection, table.c.id == id, _ALIVE))

    def by_name(self, username: str) -> User | None:
        """Return the user of that name, in any case and compatible form; None for an unknown or deleted one."""
        key = name_key(username)
        return self._db.read(lambda connection: _find(connection, table.c.name_key == key, _ALIVE))

    def by_names(self, names: Sequence[str]) -> list[User | None]:
        """Return what `by_name` would for each of the names, in their order."""
        keys = [name_key(name) for name in names]
        found = self._db.read(lambda connection: _find_keys(connection, keys))
        return [found.get(key) for key in keys]

    def create(self, username: str, password_hash: str | None = None) -> User:
        """Create a user and return it; raise BadName or NameTaken. Without a password nobody can log in as it."""
        row = _new_row(clean(username)) | {"password_hash": password_hash}
        try:
            self._db.write(lambda connection: connection.execute(table.insert(), row))
        except IntegrityError:
            raise NameTaken(row["username"]) from None
        return User(row["id"], row["username"], password_hash, 0, False, row["created_at"], None)

    def create_many(self, names: Iterable[str]) -> list[User]:
        """Return the users of these names in their order, creating those who are missing, or none of them.

        Raises BadName, and NameTaken for a name that looks like another's or was a deleted user's.
        """
        cleaned = [clean(name) for name in names]
        rows: dict[str, dict[str, Any]] = {}
        for name in cleaned:
            rows.setdefault(name_key(name), _new_row(name))
        found = self._db.write(lambda connection: _find_or_create(connection, rows))
        return [found[name_key(name)] for name in cleaned]

    def ensure(self, identity: Identity) -> User:
        """Return the row of a site's own user, making or renaming it first where needed.

        The site's word about its names holds: who had the name before and has no password here loses it. A user with a
        password here, or a deleted one, is left as it is.
        """
        known = self._db.read(lambda connection: _find(connection, table.c.id == identity.id))
        if known and (known.username == identity.username or known.password_hash or known.deleted_at):
            return known
        return self._db.write(lambda connection: _adopt(connection, identity))

    def ensure_many(self, identities: Sequence[Identity]) -> None:
        """See to it that each of these users has a row, as `ensure` does; one look where they all do."""
        ids = [identity.id for identity in identities]
        known = self._db.read(lambda connection: _find_names(connection, ids))
        for identity in identities:
            if known.get(identity.id) != identity.username:
                self.ensure(identity)

    def set_password(self, id: str, password_hash: str, valid_after: int | None = None) -> bool:
        """Store a new password's hash and let tokens count from `valid_after` (ms; now) on; tell if the user exists."""
        at = now_ms() if valid_after is None else valid_after
        return self._change(id, _ALIVE, password_hash=password_hash, tokens_valid_after=_later(at))

    def rehash(self, id: str, old_hash: str, new_hash: str) -> bool:
        """Store another hash of the same password; tell whether it was still the same."""
        return self._change(id, table.c.password_hash == old_hash, password_hash=new_hash)

    def delete(self, id: str) -> bool:
        """End a user: its tokens die, its password is forgotten, its name stays taken. Tell whether it existed."""
        now = now_ms()
        return self._change(id, _ALIVE, password_hash=None, deleted_at=now, tokens_valid_after=_later(now))

    def revoke(self, id: str, at_ms: int) -> bool:
        """Let the user's tokens count only from `at_ms` on, and never take that back; tell if it exists."""
        return self._change(id, tokens_valid_after=_later(at_ms))

    def ban(self, id: str) -> bool:
        """Keep the user out until `unban`; tell whether it exists."""
        return self._change(id, banned=True)

    def unban(self, id: str) -> bool:
        """Let a banned user in again; tell whether it exists."""
        return self._change(id, banned=False)

    def revocations(self) -> dict[str, tuple[int, bool]]:
        """Return `{id: (tokens_valid_after, banned)}` of everyone, deleted ones too, of whom either is set."""
        wanted = select(table.c.id, table.c.tokens_valid_after, table.c.banned).where(
            (table.c.tokens_valid_after > 0) | table.c.banned
        )
        rows = self._db.read(lambda connection: connection.execute(wanted).all())
        return {id: (valid_after, banned) for id, valid_after, banned in rows}

    def _change(self, id: str, *conditions: Any, **values: Any) -> bool:
        change = update(table).where(table.c.id == id, *conditions).values(**values)
        return self._db.write(lambda connection: connection.execute(change).rowcount == 1)


_ALIVE = table.c.deleted_at.is_(None)


def _find(connection: Connection, *conditions: Any) -> User | None:
    row = connection.execute(select(*_COLUMNS).where(*conditions)).first()
    return User(*row) if row else None


def _new_row(username: str) -> dict[str, Any]:
    return {
        "id": secrets.token_urlsafe(ID_BYTES),
        "username": username,
        "name_key": name_key(username),
        "skeleton": skeleton(username),
        "created_at": now_ms(),
    }


def _later(at_ms: int) -> Any:
    """Return the later of what stands in the row and `at_ms`: a revocation is never taken back."""
    return case((table.c.tokens_valid_after > at_ms, table.c.tokens_valid_after), else_=at_ms)


def _find_or_create(connection: Connection, rows: dict[str, dict[str, Any]]) -> dict[str, User]:
    lock(connection, "users")
    found = _find_keys(connection, list(rows))
    missing = [row for key, row in rows.items() if key not in found]
    if missing:
        insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(insert(table).on_conflict_do_nothing(), missing)
        found |= _find_keys(connection, [row["name_key"] for row in missing])
    for key, row in rows.items():
        if key not in found:
            raise NameTaken(row["username"])
    return found


def _find_names(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in _chunks(ids):
        wanted = select(table.c.id, table.c.username).where(table.c.id.in_(chunk))
        found |= {row.id: row.username for row in connection.execute(wanted)}
    return found


def _find_keys(connection: Connection, keys: Sequence[str]) -> dict[str, User]:
    found: dict[str, User] = {}
    for chunk in _chunks(keys):
        wanted = select(table.c.name_key, *_COLUMNS).where(table.c.name_key.in_(chunk), _ALIVE)
        found |= {key: User(*row) for key, *row in connection.execute(wanted)}
    return found


def _chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), _CHUNK):
        yield keys[start : start + _CHUNK]


def _adopt(connection: Connection, identity: Identity) -> User:
    lock(connection, "users")
    key = _free_key(connection, identity)
    values = {"username": identity.username, "name_key": key}
    change = update(table).where(table.c.id == identity.id).values(**values)
    if connection.execute(change).rowcount == 0:
        connection.execute(table.insert(), values | {"id": identity.id, "created_at": now_ms()})
    rename(connection, identity)
    user = _find(connection, table.c.id == identity.id)
    assert user is not None  # this transaction has just written it
    return user


def _free_key(connection: Connection, identity: Identity) -> str:
    """Return the key under which the identity's name can be stored, taking it from another of the site's users."""
    key = name_key(identity.username)
    holder = _find(connection, table.c.name_key == key, table.c.id != identity.id)
    if holder is None:
        return key
    if holder.password_hash or holder.deleted_at:
        return _nameless(identity.id)
    connection.execute(
        update(table).where(table.c.id == holder.id).values(name_key=_nameless(holder.id), skeleton=None)
    )
    return key


def _nameless(id: str) -> str:
    """Return a key that no name has, since names do not begin with a space."""
    return f" {id}"
