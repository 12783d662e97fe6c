"""The package: what `pip install flask-chat` installs, served from the wheel beside a site's own package `chat`."""

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import chat
from tests.hosts.visit import CLUB, KINDS, Club, assert_drains, converse

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
#: Packages of the reference site, of servers and of extras, which a site need not have.
OPTIONAL = {
    *("flask_login", "flask_wtf", "geventwebsocket", "gevent", "gunicorn", "argon2", "prometheus_client"),
    *("psycopg", "redis"),
}
WITHOUT_OPTIONAL = """
import sys
from importlib.machinery import PathFinder

class Reduced(PathFinder):
    @classmethod
    def find_spec(cls, name, *where):
        return None if name.partition(".")[0] in {optional!r} else super().find_spec(name, *where)

sys.meta_path[:] = [Reduced if finder is PathFinder else finder for finder in sys.meta_path]
"""
#: Loads every module but the migrations, which Alembic loads, and prints what came from where.
LOAD_ALL = """
import importlib, json, pkgutil, sys
import flask_chat
for module in pkgutil.walk_packages(flask_chat.__path__, "flask_chat."):
    importlib.import_module(module.name)
import chat
print(json.dumps([chat.__file__, flask_chat.__file__, [name for name in sys.modules if name.startswith("chat.")]]))
"""


def built(folder):
    """Build sdist and wheel as `make dist` does: the wheel from the sdist."""
    command = [BIN / "uv", "build", "--quiet", "--out-dir", folder, ROOT]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return next(folder.glob("*.tar.gz")), next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    return built(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheel(distributions):
    return distributions[1]


@pytest.fixture(scope="module")
def metadata(wheel):
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A folder that holds flask_chat alone; what it needs is in the environment of the tests."""
    folder = tmp_path_factory.mktemp("site-packages")
    command = [BIN / "uv", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return folder


def run(installed, code, **env):
    """Run Python code in the folder of the club, with the installed package; return its output."""
    env = {**os.environ, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", **env}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CLUB, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- what is inside


def test_the_wheel_holds_the_folder_chat_as_flask_chat_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0] for name in names} == {
        "flask_chat",
        wheel.stem.rsplit("-", 3)[0] + ".dist-info",
    }
    for needed in (
        *("py.typed", "static/dist/manifest.json", "templates/flask_chat/page.html", "web/api/openapi.json"),
        *("translations/zh/LC_MESSAGES/chat.mo", "store/migrations/env.py", "static/js/page.js"),
        "store/migrations/versions/0001_users_and_control.py",
    ):
        assert f"flask_chat/{needed}" in names
    assert not any("__pycache__" in name for name in names)


def test_the_sdist_has_what_a_packager_needs(distributions):
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "CHANGES.md", "pyproject.toml", "docs/adding-to-your-site.md"} <= names
    assert "chat/static/dist/manifest.json" in names
    assert not any(name.startswith((".venv", "node_modules", "instance", "tests")) for name in names)


def test_the_metadata_name_the_version_and_no_server_log_in_or_hash(metadata):
    assert metadata["Version"] == chat.__version__
    assert metadata["License-Expression"] == "MIT"
    requirements = metadata.get_all("Requires-Dist")
    needed = {re.match(r"[\w-]+", line)[0] for line in requirements if "extra ==" not in line}
    assert needed == {
        *("alembic", "blinker", "flask", "flask-jwt-extended", "flask-sock", "orjson"),
        *("sqlalchemy", "werkzeug"),
    }
    assert all(re.search(r">=\d", line) for line in requirements if not line.startswith("flask-chat["))
    assert {"gunicorn", "postgresql", "redis", "all"} <= set(metadata.get_all("Provides-Extra"))


def test_the_description_has_no_link_that_a_package_index_could_not_follow(metadata):
    description = metadata.get_payload()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert description.startswith("# Flask-Chat")
    targets = re.findall(r"\]\(([^)]+)\)|(?:src|href|srcset)=\"([^\"]+)\"", description)
    assert all((link or source).startswith("https://") for link, source in targets)


# -- how it runs


def test_no_module_imports_chat_by_its_name_in_the_tree(installed):
    own, package, others = json.loads(run(installed, LOAD_ALL))
    assert Path(own).parent == CLUB / "chat"
    assert Path(package).is_relative_to(installed)
    assert others == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_site_with_a_package_chat_of_its_own_serves_the_installed_chat(installed, kind):
    with Club(kind, BIN, {"PYTHONPATH": installed}) as club:
        converse(club)
        if kind != "flask-run":
            assert_drains(club)
        assert "Traceback" not in club.log()


def test_the_commands_of_the_installed_package_work(installed, tmp_path):
    env = {"PYTHONPATH": str(installed), "CHAT_DATABASE_URL": f"sqlite:///{tmp_path}/chat.db"}
    for words in (["db", "upgrade"], ["token", "--create", "zoe"]):
        done = subprocess.run(
            [BIN / "flask", "--app", "club", "chat", *words],
            cwd=CLUB,
            env=os.environ | env,
            capture_output=True,
            text=True,
            check=True,
        )
    assert done.stdout.count(".") == 2  # a JWT


# -- without what is optional


def without_optional(installed, tmp_path, code, **env):
    url = f"sqlite:///{tmp_path}/chat.db"
    return run(installed, WITHOUT_OPTIONAL.format(optional=OPTIONAL) + code, CHAT_DATABASE_URL=url, **env)


def test_a_site_needs_none_of_the_optional_packages(installed, tmp_path):
    code = """
import club
client = club.app.test_client()
assert client.get("/talk/chat").status_code in (302, 401)
client.post("/enter/ann")
print(client.get("/talk/chat").status_code, client.get("/").status_code)
"""
    assert without_optional(installed, tmp_path, code).split() == ["200", "200"]


def test_metrics_without_prometheus_are_off_and_say_so(installed, tmp_path):
    code = """
import logging
logging.basicConfig(stream=sys.stdout, format="%(message)s")
import club
response = club.app.test_client().get("/talk/chat/metrics")
print(response.status_code, response.text)
"""
    said = without_optional(installed, tmp_path, code, CHAT_METRICS="1", CHAT_METRICS_PORT="9100")
    logged, answered = said.strip().splitlines()
    assert 'pip install "flask-chat[metrics]"' in logged
    assert answered == f"501 {logged}"


@pytest.mark.parametrize(
    ("code", "extra"),
    [
        ("from flask_chat import Passwords\nPasswords(lambda f, *a: f(*a)).hash('x')", "passwords"),
        (
            "import os\nos.environ['CHAT_REDIS_URL'] = 'redis://127.0.0.1:1'\nimport club\n"
            "club.app.extensions['chat'].start()",
            "redis",
        ),
        (
            "import os\nos.environ['CHAT_DATABASE_URL'] = 'postgresql://127.0.0.1:1/x'\nimport club",
            "postgresql",
        ),
    ],
)
def test_what_is_missing_is_named_with_the_extra_that_installs_it(installed, tmp_path, code, extra):
    attempt = (
        "try:\n"
        + "".join(f"    {line}\n" for line in code.splitlines())
        + "except Exception as error:\n    print(error)"
    )
    assert f'pip install "flask-chat[{extra}]"' in without_optional(installed, tmp_path, attempt)
