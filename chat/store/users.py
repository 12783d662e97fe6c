"""The users table: ids, names, password hashes, and the time from which tokens are valid."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, case, select, update
from sqlalchemy.exc import IntegrityError

from ..identity.addressing import Ambiguous, choose
from ..identity.names import NameTaken, clean, name_key, skeleton
from ..wire.envelope import Identity
from .departures import end_account
from .engine import Run, insert_of, lock
from .member_changes import rename
from .models import now_ms
from .models import users as table
from .transactions import HistoryTransactions, chunks
from .user import User

#: Random bytes of an id: 12 characters instead of a UUID's 32 in every roster entry and message.
ID_BYTES = 9
_COLUMNS = tuple(table.c[name] for name in User._fields)


class Users:
    """Creates, finds and deletes users. Each call is one transaction and may raise StoreUnavailable.

    `run(fn)` runs fn off the event loop.
    """

    def __init__(self, engine: Engine, run: Run) -> None:
        self._db = HistoryTransactions(engine, run)

    def get(self, id: str) -> User | None:
        """Return the user with this id; None if unknown or deleted."""
        return self._db.read(lambda connection: _find(connection, table.c.id == id, _NOT_DELETED))

    def by_name(self, username: str) -> User | None:
        """Return the user who logs in with this name, in any case and compatible form; None if unknown or deleted.

        To address somebody by name use `addressed`.
        """
        key = name_key(username)
        return self._db.read(lambda connection: _find(connection, table.c.name_key == key, _NOT_DELETED))

    def named(self, username: str) -> list[User]:
        """Return all users with this name, in any case and compatible form."""
        keys = [name_key(username)]
        return self._db.read(lambda connection: _find_named(connection, keys)).get(keys[0], [])

    def addressed(self, username: str) -> User | Ambiguous | None:
        """Return the user whom this name means by the rule of chat.identity.addressing; None if unknown or deleted."""
        return choose(username, self.named(username))

    def by_names(self, names: Sequence[str]) -> list[User | Ambiguous | None]:
        """Return the result of `addressed` for each name, in their order."""
        keys = [name_key(name) for name in names]
        found = self._db.read(lambda connection: _find_named(connection, keys))
        return [choose(name, found.get(key, ())) for name, key in zip(names, keys, strict=True)]

    def create(self, username: str, password_hash: str | None = None) -> User:
        """Create a user and return it; raise BadName or NameTaken. A user without a password cannot log in."""
        row = _new_row(clean(username)) | {"password_hash": password_hash}

        def work(connection: Connection) -> None:
            lock(connection, "users")
            connection.execute(table.insert(), row)

        try:
            self._db.write(work)
        except IntegrityError:
            raise NameTaken(row["username"]) from None
        return User(row["id"], row["username"], password_hash, 0, False, row["created_at"], None)

    def create_many(self, names: Iterable[str]) -> list[User]:
        """Return the users with these names in their order, creating those that do not exist, all or none.

        Raises BadName, and NameTaken if a name looks like another user's or was a deleted user's.
        """
        cleaned = [clean(name) for name in names]
        rows: dict[str, dict[str, Any]] = {}
        for name in cleaned:
            rows.setdefault(name_key(name), _new_row(name))
        found = self._db.write(lambda connection: _find_or_create(connection, rows))
        return [found[name_key(name)] for name in cleaned]

    def ensure(self, identity: Identity) -> User:
        """Insert or rename a site's own user and return the row.

        The site decides about its names: another user without a password here loses the name. A user with a password
        here, or a deleted one, stays unchanged.
        """
        known = self._db.read(lambda connection: _find(connection, table.c.id == identity.id))
        if known is not None and _is_settled(known, identity):
            return known
        return self._db.write(lambda connection: _upsert(connection, identity))

    def claim(self, identity: Identity) -> User | None:
        """Apply `ensure`, and return None; or change nothing and return another user who has exactly this name."""

        def holder(connection: Connection) -> User | None:
            found = _find_named(connection, [name_key(identity.username)])
            others = (user for users in found.values() for user in users if user.id != identity.id)
            return next((user for user in others if user.username == identity.username), None)

        def work(connection: Connection) -> User | None:
            lock(connection, "users")
            other = holder(connection)
            if other is None:
                _upsert(connection, identity)
            return other

        known = self._db.read(lambda connection: _find(connection, table.c.id == identity.id))
        if known is not None and _is_settled(known, identity):
            return self._db.read(holder)
        return self._db.write(work)

    def rename(self, identity: Identity) -> User:
        """Apply `ensure`; no other user of the site is found by exactly this name then."""
        user = self.ensure(identity)
        if user.username == identity.username and user.deleted_at is None:
            others = _others(identity)
            if self._db.read(lambda connection: _find(connection, *others)) is not None:
                hide = update(table).where(*others).values(lookup_key=" " + table.c.id)
                self._db.write(lambda connection: connection.execute(hide))
        return user

    def ensure_many(self, identities: Sequence[Identity]) -> None:
        """Apply `ensure` to each of these users; one query if nothing has to change."""
        ids = [identity.id for identity in identities]
        known = self._db.read(lambda connection: _find_names(connection, ids))
        for identity in identities:
            if known.get(identity.id) != identity.username:
                self.ensure(identity)

    def set_password(self, id: str, password_hash: str, valid_after: int | None = None) -> bool:
        """Store a new password's hash and end tokens from before `valid_after` (ms; now); return if the user exists."""
        at = now_ms() if valid_after is None else valid_after
        return self._change(id, _NOT_DELETED, password_hash=password_hash, tokens_valid_after=_latest(at))

    def rehash(self, id: str, old_hash: str, new_hash: str) -> bool:
        """Replace the hash of an unchanged password; return False if the password has been changed."""
        return self._change(id, table.c.password_hash == old_hash, password_hash=new_hash)

    def delete(self, id: str) -> bool:
        """End a user's account as History.end_account does, and keep the name taken; return if the user existed."""
        return self._db.write(lambda connection: end_account(connection, id)) is not None

    def revoke(self, id: str, at_ms: int) -> bool:
        """End the user's tokens from before `at_ms`, which is never undone; return whether the user exists."""
        return self._change(id, tokens_valid_after=_latest(at_ms))

    def ban(self, id: str) -> bool:
        """Ban the user until `unban`; return whether the user exists."""
        return self._change(id, banned=True)

    def unban(self, id: str) -> bool:
        """End a ban; return whether the user exists."""
        return self._change(id, banned=False)

    def revocations(self) -> dict[str, tuple[int, bool]]:
        """Return `{id: (tokens_valid_after, banned)}` of all users with either set, including deleted ones."""
        wanted = select(table.c.id, table.c.tokens_valid_after, table.c.banned).where(
            (table.c.tokens_valid_after > 0) | table.c.banned
        )
        rows = self._db.read(lambda connection: connection.execute(wanted).all())
        return {id: (valid_after, banned) for id, valid_after, banned in rows}

    def _change(self, id: str, *conditions: Any, **values: Any) -> bool:
        change = update(table).where(table.c.id == id, *conditions).values(**values)
        return self._db.write(lambda connection: connection.execute(change).rowcount == 1)


_NOT_DELETED = table.c.deleted_at.is_(None)


def _find(connection: Connection, *conditions: Any) -> User | None:
    row = connection.execute(select(*_COLUMNS).where(*conditions)).first()
    return User(*row) if row else None


def _new_row(username: str) -> dict[str, Any]:
    return {
        "id": secrets.token_urlsafe(ID_BYTES),
        "username": username,
        "name_key": name_key(username),
        "lookup_key": name_key(username),
        "skeleton": skeleton(username),
        "created_at": now_ms(),
    }


def _latest(at_ms: int) -> Any:
    """Return the SQL of the later of the row's time and `at_ms`: a revocation is never undone."""
    return case((table.c.tokens_valid_after > at_ms, table.c.tokens_valid_after), else_=at_ms)


def _find_or_create(connection: Connection, rows: dict[str, dict[str, Any]]) -> dict[str, User]:
    lock(connection, "users")
    found = _find_keys(connection, list(rows))
    missing = [row for key, row in rows.items() if key not in found]
    if missing:
        insert = insert_of(connection)
        connection.execute(insert(table).on_conflict_do_nothing(), missing)
        found |= _find_keys(connection, [row["name_key"] for row in missing])
    for key, row in rows.items():
        if key not in found:
            raise NameTaken(row["username"])
    return found


def _find_names(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for chunk in chunks(ids):
        wanted = select(table.c.id, table.c.username).where(table.c.id.in_(chunk))
        found |= {row.id: row.username for row in connection.execute(wanted)}
    return found


def _find_keys(connection: Connection, keys: Sequence[str]) -> dict[str, User]:
    found: dict[str, User] = {}
    for chunk in chunks(keys):
        wanted = select(table.c.name_key, *_COLUMNS).where(table.c.name_key.in_(chunk), _NOT_DELETED)
        found |= {key: User(*row) for key, *row in connection.execute(wanted)}
    return found


def _find_named(connection: Connection, keys: Sequence[str]) -> dict[str, list[User]]:
    found: dict[str, list[User]] = {}
    for chunk in chunks(list(dict.fromkeys(keys))):
        wanted = select(table.c.lookup_key, *_COLUMNS).where(table.c.lookup_key.in_(chunk), _NOT_DELETED)
        for key, *row in connection.execute(wanted):
            found.setdefault(key, []).append(User(*row))
    return found


def _is_settled(known: User, identity: Identity) -> bool:
    """Return whether `ensure` has nothing to change in this user's row, or may not."""
    return known.username == identity.username or bool(known.password_hash or known.deleted_at)


def _upsert(connection: Connection, identity: Identity) -> User:
    lock(connection, "users")
    # It may have been renamed or deleted since the caller looked.
    known = _find(connection, table.c.id == identity.id)
    if known is not None and _is_settled(known, identity):
        return known
    key = _free_key(connection, identity)
    values = {"username": identity.username, "name_key": key, "lookup_key": name_key(identity.username)}
    change = update(table).where(table.c.id == identity.id).values(**values)
    if connection.execute(change).rowcount == 0:
        connection.execute(table.insert(), values | {"id": identity.id, "created_at": now_ms()})
    rename(connection, identity)
    user = _find(connection, table.c.id == identity.id)
    assert user is not None  # this transaction has just written the row
    return user


def _free_key(connection: Connection, identity: Identity) -> str:
    """Return the name_key to store for the identity, taking it from another user of the site if necessary."""
    key = name_key(identity.username)
    holder = _find(connection, table.c.name_key == key, table.c.id != identity.id)
    if holder is None:
        return key
    if holder.password_hash or holder.deleted_at:
        return _placeholder_key(identity.id)
    connection.execute(
        update(table)
        .where(table.c.id == holder.id)
        .values(name_key=_placeholder_key(holder.id), skeleton=None)
    )
    return key


def _others(identity: Identity) -> tuple[Any, ...]:
    """Return the conditions of the other users of the site who are found by exactly this name."""
    return (
        table.c.lookup_key == name_key(identity.username),
        table.c.username == identity.username,
        table.c.id != identity.id,
        table.c.password_hash.is_(None),
    )


def _placeholder_key(id: str) -> str:
    """Return a key that belongs to no name, since names do not start with a space."""
    return f" {id}"
