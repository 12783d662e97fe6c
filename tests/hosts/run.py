"""`make test-hosts`: the wheel under the lowest and the newest versions of everything it runs on.

    python -m tests.hosts.run [names of environments, or `gunicorn`]

Each environment serves the club of tests/hosts/club under gunicorn with gevent, gunicorn with threads and `flask run`,
and two of its members talk. At both ends of the ranges two servers also talk through Valkey and PostgreSQL, and the
commands run. Then every line of gunicorn's versions, in one environment.
"""

import sys
import time
import traceback

from tests.databases import running_postgresql
from tests.hosts.environments import (
    FOR_OLD_GUNICORN,
    NEWEST,
    ROOT,
    Environment,
    environments,
    find_pythons,
)
from tests.hosts.visit import KINDS, PREFIX, Club, assert_drains, converse
from tests.valkeys import running_valkey

#: The first of each line that differs in how it reads sockets, runs workers or reads its configuration.
GUNICORNS = (
    "20.1.0",
    "21.2.0",
    "22.0.0",
    "23.0.0",
    "24.1.1",
    "25.0.3",
    "25.3.0",
    "26.0.0",
    "26.2.0",
    "27.0.1",
)
GUNICORN_KINDS = ("gunicorn-gevent", "gunicorn-gthread")


class Report:
    """Counts what passed and what failed, a line each."""

    def __init__(self):
        self.passed, self.failed = 0, 0

    def check(self, title, function, *args):
        """Run one check, and print its outcome."""
        begun = time.monotonic()
        try:
            function(*args)
        except Exception:
            self.failed += 1
            print(f"FAILED {title}\n{traceback.format_exc()}", flush=True)
        else:
            self.passed += 1
            print(f"passed {title} ({time.monotonic() - begun:.0f} s)", flush=True)


def install(environment, wheel):
    environment.install(wheel)
    print(f"       {environment.versions()}", flush=True)


def serve(environment, kind):
    with Club(kind, environment.bin) as club:
        try:
            converse(club)
            if kind in GUNICORN_KINDS:
                assert_drains(club)
            assert "Traceback" not in club.log()
        except Exception as error:
            raise AssertionError(f"log of the server:\n{club.log()}") from error


def serve_two(environment, url, redis_url):
    """Two servers that share PostgreSQL and Valkey, with metrics."""
    env = {"CHAT_DATABASE_URL": url, "CHAT_REDIS_URL": redis_url, "CHAT_REDIS_PREFIX": environment.name}
    with (
        Club("gunicorn-gevent", environment.bin, {**env, "CHAT_METRICS": "1"}) as first,
        Club("gunicorn-gthread", environment.bin, env) as second,
    ):
        converse(first, second)
        assert "chat_messages_in_total" in first.get(f"{PREFIX}/chat/metrics")[2]
        assert "Traceback" not in first.log() + second.log()


def create_user(environment):
    with Club("flask-run", environment.bin) as club:
        out = club.cli("create-user", "zoe", "--password-stdin", stdin="correct horse\n")
        assert out.startswith("Created zoe")


def try_environment(report, environment, wheel):
    report.check(f"{environment.name}: install", install, environment, wheel)
    for kind in KINDS:
        report.check(f"{environment.name}: {kind}", serve, environment, kind)


def try_cluster(report, environment):
    with running_postgresql() as postgresql, running_valkey() as valkey:
        urls = postgresql.get_uri(), valkey.url
        report.check(f"{environment.name}: PostgreSQL and Valkey", serve_two, environment, *urls)
    report.check(f"{environment.name}: create-user", create_user, environment)


def try_gunicorns(report, environment, wheel):
    environment.install(wheel)
    for version in GUNICORNS:
        environment.pip(f"gunicorn=={version}")
        for kind in GUNICORN_KINDS:
            report.check(f"gunicorn {version}: {kind}", serve, environment, kind)


def main(*names):
    """Try the named environments, or all; return the exit code."""
    wheel = next((ROOT / "dist").glob("*.whl"))
    pythons = find_pythons()
    print("Python", ", ".join(pythons), flush=True)
    report = Report()
    all_environments = environments(pythons)
    ends = (all_environments[0], all_environments[len(pythons)])
    for environment in all_environments:
        if not names or environment.name in names:
            try_environment(report, environment, wheel)
            if environment in ends:
                try_cluster(report, environment)
    if not names or "gunicorn" in names:
        oldest = next(iter(pythons.values()))
        try_gunicorns(report, Environment("gunicorn", oldest, NEWEST, (FOR_OLD_GUNICORN,)), wheel)
    print(f"{report.passed} passed, {report.failed} failed")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
