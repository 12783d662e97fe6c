"""What one abusive client costs the others.

    python -m bench.hostile [attack …] [--seconds 20]

For each attack a fresh server with the default limits and a history of 50,000 messages serves 100 quiet users, first
alone and then beside the attack. The Acks' p99 may be five times that of the quiet part, and at most 100 ms; none may
be missing, and a new visitor must be served. Exit code 1 if not.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import processes
from bench.hostile.attacks import ATTACKS, NAME, PASSWORD, Attacker
from bench.hostile.quiet import QuietUsers, visit
from bench.measure import LOAD_CPU
from bench.report import aligned
from bench.sentences import Rooms, Sentences
from bench.servers import SECRET, Server, flask_chat, free_port, pinned, serving
from bench.workspace import INSTALLED, PROJECT, Workspace

QUIET_USERS = 100
HISTORY = 50_000
#: The Acks' p99 beside an attack: at most so many times the quiet one, and so many milliseconds.
TIMES, LIMIT_MS = 5, 100
COLUMNS = ("quiet p99", "p50", "p99", "max ms", "ratio", "missing", "visitor p99", "failed", "grown MB")


def main(words=None):
    parser = argparse.ArgumentParser(
        prog="python -m bench.hostile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("attacks", nargs="*", metavar="attack", help=f"{', '.join(ATTACKS)}; none: all")
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args(words)
    if unknown := set(options.attacks) - set(ATTACKS):
        parser.error(f"no such attack: {', '.join(unknown)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))
    with scratch_site() as site:
        rows = [play(site, name, options.seconds) for name in options.attacks or ATTACKS]
    print(*aligned([["attack", *COLUMNS, ""], *(row[:-1] for row in rows)]), sep="\n")
    sys.exit(0 if all(row[-1] for row in rows) else 1)


class Site:
    """The reference site in a scratch folder, with the default limits, a history, users and their tokens."""

    def __init__(self, scratch):
        self._place = Workspace(INSTALLED, PROJECT, scratch)
        self._fill(f"sqlite:///{scratch}/chat.db")
        names = [NAME, *(f"quiet{number}" for number in range(QUIET_USERS))]
        flask_chat(self._place, "create-user", NAME, "--password-stdin", stdin=f"{PASSWORD}\n")
        tokens = flask_chat(self._place, "token", "--create", "--ttl", "86400", "-", stdin="\n".join(names))
        self.attacker, *self.quiet = tokens.split()
        shutil.copy(scratch / "chat.db", scratch / "fresh.db")

    @staticmethod
    def _fill(url):
        from chat.store import migrate
        from chat.store.engine import make_engine
        from chat.store.history import PUBLIC, Draft
        from chat.store.sql import SqlHistory
        from chat.wire.envelope import Identity

        migrate.upgrade(url)
        engine = make_engine(url)
        history = SqlHistory(engine, lambda function: function())
        people = [Identity(f"u{number}", f"user{number}") for number in range(500)]
        rooms = Rooms("big", "middle", ["small"])
        for room in (rooms.big, rooms.middle, *rooms.small):
            history.create_room(room, PUBLIC, None)
        drafts = (
            Draft(2, room, people[n % 500], secrets.token_urlsafe(12), True, text, None, None)
            for n, (room, text) in enumerate(Sentences(rooms, HISTORY))
        )
        while batch := list(itertools.islice(drafts, 500)):
            history.append(batch, 1)
        history.close()
        engine.dispose()

    @contextlib.contextmanager
    def served(self, port):
        """Serve a fresh copy of the site; yield the server's process."""
        scratch = self._place.scratch
        for path in scratch.glob("chat.db*"):
            path.unlink()
        shutil.copy(scratch / "fresh.db", scratch / "chat.db")
        gunicorn = PROJECT / ".venv/bin/gunicorn"
        env = {
            "CHAT_DATABASE_URL": f"sqlite:///{scratch}/chat.db",
            "SECRET_KEY": SECRET,
            "JWT_SECRET_KEY": SECRET,
            "WEB_CONCURRENCY": "1",
        }
        server = Server(
            "Flask-Chat", [gunicorn, "-b", f"127.0.0.1:{port}", "wsgi:app"], "ours", gunicorn, env
        )
        with serving(self._place, server, port, None) as process:
            yield process


@contextlib.contextmanager
def scratch_site():
    scratch = Path(tempfile.mkdtemp(prefix="hostile-"))
    try:
        yield Site(scratch)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def play(site, name, seconds):
    """Serve, measure without and with the attack; return a row of the table, and whether the goals are met."""
    port = free_port()
    with site.served(port) as process:
        return asyncio.run(measured(site, name, seconds, port, process.pid))


async def measured(site, name, seconds, port, pid):
    async with QuietUsers(port, site.quiet) as users:
        await furnish(port, site)
        await users.measure(2)
        quiet, _ = await users.measure(seconds / 2)
        before = processes.resident(pid)
        attack = subprocess.Popen(
            pinned(LOAD_CPU, [sys.executable, "-m", "bench.hostile.attacks", name, port, site.attacker]),
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            await asyncio.sleep(3)
            (acks, missing), (visits, failed) = await asyncio.gather(
                users.measure(seconds), visit(port, seconds)
            )
            grown = (processes.resident(pid) - before) / 1e6
        finally:
            attack.terminate()
            answered, _ = attack.communicate()
    return row(name, quiet, acks, missing, visits, failed, grown, json.loads(answered or "{}"))


async def furnish(port, site):
    """Give the attacker its rooms: one to change, one that all quiet users are in, and those that hold the history."""
    attacker = Attacker(port, site.attacker)
    for title in ("marks", "crowded"):
        await attacker.request("POST", "/chat/api/rooms", {"kind": "public", "title": title})
    for room in ("big", "middle", "small"):
        await attacker.request("POST", f"/chat/api/rooms/{room}/join", {})
    for token in site.quiet:
        await Attacker(port, token).request("POST", "/chat/api/rooms/crowded/join", {})


def row(name, quiet, acks, missing, visits, failed, grown, answered):
    base, p99 = percentile(quiet, 99), percentile(acks, 99)
    ok = p99 <= min(TIMES * base, LIMIT_MS) and not missing and not failed
    counts = ", ".join(
        f"{count:,} {answer}" for answer, count in sorted(answered.items(), key=lambda a: -a[1])[:4]
    )
    figures = [
        f"{base:.1f}",
        f"{percentile(acks, 50):.1f}",
        f"{p99:.1f}",
        f"{max(acks, default=0) * 1e3:.0f}",
    ]
    figures += [
        f"{p99 / base:.1f}",
        f"{missing}",
        f"{percentile(visits, 99):.0f}",
        f"{failed}",
        f"{grown:.0f}",
    ]
    print(f"  {name}: {'ok' if ok else 'FAILED'} ({counts})", file=sys.stderr, flush=True)
    return [name, *figures, "ok" if ok else "FAILED", ok]


def percentile(seconds, part):
    """Return the percentile in milliseconds; infinity where nothing came."""
    values = sorted(seconds)
    return values[min(len(values) - 1, len(values) * part // 100)] * 1e3 if values else float("inf")


if __name__ == "__main__":
    main()
