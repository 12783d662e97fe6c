"""A copy of a site in a folder of its own: with the chat or without it, tested, inspected and served."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tests.hosts.sites import install
from tests.hosts.sites.catalogue import PASSWORD, PEOPLE
from tests.servers import Server, ServerFailed, clean_environment

HERE = Path(__file__).parent
#: The servers, as commands of a site's own venv.
COMMANDS = {
    "gunicorn-gevent": lambda port, app: ["gunicorn", "-b", f"127.0.0.1:{port}", "-k", "gevent", app],
    "flask-run": lambda port, app: ["flask", "--app", app, "run", "--port", str(port)],
}


class Copy:
    """The folder of one site. `add_chat` and `remove_chat` change the files as its owner would."""

    def __init__(self, site, place):
        self.site, self.folder = site, place / Path(site.folder).name
        self.venv = install.Venv(site.name, site.requirements)
        self._with_chat = install.Venv(f"{site.name}-chat", site.requirements)
        origin = install.unpacked(site.requirement, site.sha256) / site.folder
        shutil.copytree(origin, self.folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._apply("repair")
        # The hash seed: a set of text is then written the same way by every process.
        self._bare = clean_environment(
            PYTHONPATH=str(self.folder), PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0"
        )
        self.env = {**self._bare, **dict(site.env)}

    def add_chat(self):
        """Install the chat beside what the site requires, and write the five lines."""
        self.venv = self._with_chat
        self.venv.add_chat()
        self._apply("chat")

    def remove_chat(self):
        """Take the five lines out and uninstall the chat; what it required stays, as pip leaves it."""
        self._apply("chat", "--reverse")
        self.venv.remove_chat()

    def _apply(self, kind, *options):
        """Apply a patch: `chat` is the five lines; `repair` is what a site lacks to run at all."""
        patch = HERE / "patches" / f"{self.site.name}.{kind}.diff"
        if patch.exists():
            env = {**os.environ, "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
            install.run("git", "apply", *options, patch, cwd=self.folder, env=env)

    def prepare(self):
        """Create the site's tables and its users."""
        self._python("-c", f"PEOPLE, PASSWORD = {PEOPLE!r}, {PASSWORD!r}\n{self.site.prepare}")

    def _python(self, *words):
        """Run the site's own Python in its folder; return what it printed."""
        return install.run(self.venv.python, *words, cwd=self.folder, env=self.env)

    def inspect(self):
        """What the site's app consists of, and its database: see probe.py."""
        return json.loads(self._python(HERE / "probe.py", self.site.app).splitlines()[-1])

    def outcomes(self):
        """{test: outcome} of the site's own tests."""
        command = [self.venv.python, "-m", "pytest", "-q", "-rA", "--tb=short", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, *self.site.tests],
            cwd=self.folder / self.site.tests_folder,
            env=self._bare,
            capture_output=True,
            text=True,
            timeout=900,
        )
        words = [line.split() for line in done.stdout.splitlines()]
        return {
            word[1]: word[0] for word in words if len(word) > 1 and word[0] in ("PASSED", "FAILED", "ERROR", "SKIPPED")
        }

    def serve(self, kind):
        return SiteServer(self, kind)


class SiteServer(Server):
    """A server of the site's own venv, in the site's folder, with the site's settings and no other."""

    def __init__(self, copy, kind):
        super().__init__(kind, env={"CHAT_DATABASE_URL": ""})
        program, *words = COMMANDS[kind](self.port, copy.site.app)
        self.command, self.cwd = [str(copy.venv.bin / program), *words], copy.folder
        self.env = copy.env
        self._ready_path = copy.site.login_path

    def _healthy(self):
        try:
            status = self.get(self._ready_path, timeout=5)[0]
        except OSError:
            return False
        if status != 200:
            raise ServerFailed(f"{self._ready_path} answers {status}:\n{self.log()}")
        return True
