"""The files of deploy/ agree with the code: times, names of settings, what an image holds."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from chat.config import Settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NGINX = (DEPLOY / "nginx.conf").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
UNITS = ("flask-chat.service", "flask-chat@.service")
#: What gunicorn.conf.py and app.py read beside CHAT_*.
OTHERS = {"SECRET_KEY", "HOST", "PORT", "WEB_CONCURRENCY", "ACCESS_LOG"}
KNOWN = OTHERS | {f"CHAT_{field.name.upper()}" for field in fields(Settings)}


@pytest.fixture(scope="module")
def graceful_timeout():
    """Seconds for which gunicorn lets its workers finish."""
    return runpy.run_path(str(ROOT / "gunicorn.conf.py"))["graceful_timeout"]


def unit(name):
    """[(key, value), …] of a systemd unit; a key may come again."""
    lines = (DEPLOY / "systemd" / name).read_text().splitlines()
    return [tuple(line.split("=", 1)) for line in lines if re.match(r"\w+=", line)]


# -- times


@pytest.mark.parametrize("way", ["read", "send"])
def test_nginx_bears_more_silence_than_any_heartbeat_leaves(way):
    (seconds,) = re.findall(rf"proxy_{way}_timeout (\d+)s;", NGINX)
    settings = Settings()
    assert int(seconds) > settings.ping_interval + settings.ping_timeout
    assert int(seconds) > settings.io_ping_interval + settings.io_ping_timeout


@pytest.mark.parametrize("name", UNITS)
def test_systemd_waits_for_gunicorn(name, graceful_timeout):
    assert int(dict(unit(name))["TimeoutStopSec"].removesuffix("s")) > graceful_timeout


def test_compose_waits_for_gunicorn(graceful_timeout):
    assert int(COMPOSE["services"]["chat"]["stop_grace_period"].removesuffix("s")) > graceful_timeout


# -- names


def test_the_example_of_settings_names_settings_that_there_are():
    named = re.findall(r"^#?([A-Z_]+)=", (DEPLOY / "flask-chat.env").read_text(), re.MULTILINE)
    assert len(named) > 5 and set(named) <= KNOWN


def test_compose_names_settings_that_there_are():
    assert set(COMPOSE["services"]["chat"]["environment"]) <= KNOWN


def test_the_two_units_differ_in_what_makes_a_node_alone():
    one, node = map(unit, UNITS)
    rest = [("Environment", "CHAT_NODE=%i"), ("EnvironmentFile", "/etc/flask-chat/%i.env")]
    assert [line for line in node if line not in rest and line[0] != "Description"] == one[1:]


# -- the image


#: The stages of the Dockerfile; the last one is the image.
STAGES = DOCKERFILE.split("\nFROM ")


def copied(*stages):
    """The paths that these stages copy, from the top of the project."""
    lines = [
        line for stage in stages for line in re.findall(r"^COPY (?!--from)(.*) \S+$", stage, re.MULTILINE)
    ]
    return [Path(source) for line in lines for source in line.split()]


def test_the_site_runs_from_what_the_image_holds(tmp_path):
    for source in copied(STAGES[-1]):
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / source)
    script = "from app import create_app; print(create_app().test_client().get('/login').status_code)"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CHAT_")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip() == "200", done.stderr


def test_the_build_gets_what_the_dockerfile_copies():
    let_in = re.findall(r"^!(.*)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.MULTILINE)
    # The front end's stage copies a folder of what the image copies.
    wanted = {str(path) for path in copied(*STAGES)} - {"chat/static"}
    assert sorted(let_in) == sorted(wanted)


def test_the_image_holds_the_front_end_and_not_that_of_the_machine_that_builds_it():
    assert "COPY --from=front-end /build/chat/static/dist/ chat/static/dist/" in DOCKERFILE
    assert "chat/static/dist" in (DEPLOY / "Dockerfile.dockerignore").read_text().split()


def test_the_health_check_is_a_program_that_runs():
    command = json.loads(re.search(r"^HEALTHCHECK .*?\n +CMD (.*)$", DOCKERFILE, re.MULTILINE)[1])
    assert command[:2] == ["python", "-c"]
    compile(command[2], "HEALTHCHECK", "exec")
