"""What a site does with its app besides serving: `flask` commands, a shell, a worker of a task queue."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = """
from flask import Flask
from chat import Chat

app = Flask(__name__, instance_path={instance!r})
app.config.update(SECRET_KEY="k" * 32, CHAT_DATABASE_URL={url!r})

@app.cli.command("greet")
def greet():
    print("hello")

Chat(app)
"""
IMPORTS_THE_APP = """
import os, threading
from site_of_test import app
chat = app.extensions["chat"]
chat.send("lobby", "from a task")
targets = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
print("descriptors:", [target for target in targets if "socket:" in target or "anon_inode:" in target])
print("threads:", threading.active_count(), "runtime:", chat.runtime)
"""


@pytest.fixture
def run(tmp_path):
    """run(*arguments, url=…) runs Python with a site that it can import; returns the ended process."""

    def start(*arguments, url=f"sqlite:///{tmp_path}/chat.db"):
        site = SITE.format(instance=str(tmp_path), url=url)
        (tmp_path / "site_of_test.py").write_text(site)
        env = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "FLASK_APP": "site_of_test"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )

    return start


def flask(run, *arguments, **options):
    return run("-m", "flask", *arguments, **options)


def test_importing_the_app_opens_no_sockets_and_starts_no_threads(run):
    child = run("-c", IMPORTS_THE_APP)
    assert child.stdout.splitlines() == ["descriptors: []", "threads: 1 runtime: None"], child.stderr


def test_the_help_of_flask_survives_a_broken_configuration(run):
    child = flask(run, "--help", url="mysql://host/site")
    assert child.returncode == 0
    assert "CHAT_DATABASE_URL names mysql" in child.stderr
    assert "Traceback" not in child.stderr
    assert "run " in child.stdout


def test_a_command_of_the_site_needs_no_database_of_the_chat(run, tmp_path):
    child = flask(run, "greet", url=f"sqlite:///{tmp_path}")
    assert (child.returncode, child.stdout) == (0, "hello\n")


@pytest.mark.parametrize(
    "command",
    [["run", "--port", "0"], ["chat", "create-room", "Walks"], ["chat", "db", "upgrade"], ["shell"]],
)
def test_a_command_names_the_database_that_it_cannot_use_in_one_sentence(run, command, tmp_path):
    child = flask(run, *command, url=f"sqlite:///{tmp_path}")
    assert child.returncode == 1
    sentence = f"Error: The chat cannot use its database {tmp_path}: Is a directory."
    assert [line.startswith(sentence) for line in child.stderr.splitlines()] == [True]
