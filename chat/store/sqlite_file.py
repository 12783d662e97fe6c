"""The file of a SQLite database: created for its owner only and in WAL mode. A site's own file stays as it is."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

#: Bytes 18 and 19 of a SQLite file, its write and read version, in WAL mode (SQLite's file format, section 1.3.3).
_WAL = b"\x02\x02"


def prepare(path: Path) -> None:
    """Create the database unless there is one, and set WAL mode unless it has other tables than the chat's.

    Raises OSError where the file or its folder cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        os.close(os.open(path, os.O_RDWR))
        if is_wal(path):
            return
    with locked(path):
        if _create(path):
            _set_wal(path)
        elif not is_wal(path) and _is_chats_own(path):
            # A copy made from a dump. While it is in use its mode cannot change; the next start tries again.
            with suppress(sqlite3.OperationalError):
                _set_wal(path)


def advice(path: Path) -> str | None:
    """Return what to do about a file that the chat shares and that is not in WAL mode, else None."""
    if is_wal(path):
        return None
    return (
        f"The chat shares the SQLite file {path} and leaves its journal mode as it is. Without WAL mode, writing waits "
        "for every reader and is slower. Run `PRAGMA journal_mode = WAL` on it once, or set CHAT_DATABASE_URL to a "
        "file of the chat's own."
    )


def is_wal(path: Path) -> bool:
    """Return whether the database is in WAL mode, which its file keeps."""
    with path.open("rb") as file:
        return file.read(20)[18:] == _WAL


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file beside the database: SQLite does not wait for another process when it switches to WAL."""
    with Path(f"{path}.lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _create(path: Path) -> bool:
    """Create the file for its owner only, since it holds password hashes; the WAL inherits the mode. False if it is."""
    try:
        os.close(os.open(path.resolve(), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return False
    return True


def _is_chats_own(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as connection:
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        }
    return "chat_users" in tables and all(name.startswith(("chat_", "sqlite_")) for name in tables)


def _set_wal(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
