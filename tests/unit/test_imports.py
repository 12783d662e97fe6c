"""The import rule: inside chat/ imports go down only, and each foreign library has one place."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHAT = ROOT / "chat"

#: From the bottom up. A module imports from its own group and from those named before it, never in a circle.
GROUPS = [
    {"errors", "config", "envelope", "redaction", "stats", "outbox"},
    {"frames", "codec"},
    {"member", "client", "roster", "limits", "names", "passwords", "drivers"},
    {"others", "gate", "order", "reactor", "room", "roster_push", "hub", "jobs", "sweeper", "drain"},
    {"store"},
    {
        "broker",
        "hints",
        "presence",
        "questions",
        "gossip",
        "cluster",
        "writer",
        "arrivals",
        "handlers",
        "auth",
        "tokens",
        "access",
    },
    {"socketio"},
    {"live", "signals", "metrics"},
    {"i18n", "strings", "sockets", "jwts", "state", "views", "io_views", "api", "cli", "extension"},
    {"chat"},  # chat/__init__.py, the public face
]
LAYER = {name: number for number, group in enumerate(GROUPS) for name in group}
FACE, LAST = len(GROUPS) - 1, len(GROUPS) - 2

#: Flask's own group, the face included.
SITE = GROUPS[LAST] | GROUPS[FACE]
#: Where a foreign library may be imported: units of chat/, or files in them.
PLACES = {
    "flask": SITE,
    "werkzeug": SITE,
    "jinja2": SITE,
    "markupsafe": SITE,
    "click": SITE,
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "psycopg": {"store"},
    "gevent": {"drivers"},
    "redis": {"broker/redis.py", "broker/link.py"},
}
#: Flask's extensions stand where Flask does.
FLASK_EXTENSIONS = "flask_"


def sources():
    return sorted(CHAT.rglob("*.py"))


def dotted(path):
    """Return `path`'s module name, a package's without __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit(module):
    """Return the name that GROUPS has for a module: the first part below chat, or chat itself."""
    return module.split(".")[1] if "." in module else module


def layer(module):
    """Return how far up a module stands; one that no group names counts as the face, and fails its own test."""
    return LAYER.get(unit(module), FACE)


def is_for_types_only(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def statements(nodes):
    """Yield every import among `nodes`, also those inside functions, but none that only a type checker runs."""
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        else:
            yield from statements(node.orelse if is_for_types_only(node) else ast.iter_child_nodes(node))


def imported(source, package, modules):
    """Return the dotted names that `source`, standing in `package`, imports; `modules` are the house's own."""
    found = set()
    for node in statements(ast.parse(source).body):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        base = ".".join([*base, *([node.module] if node.module else [])])
        # `from . import codec` names a module, `from .codec import encode` a thing in one.
        found |= {full if (full := f"{base}.{alias.name}") in modules else base for alias in node.names}
    return found


@pytest.fixture(scope="module")
def graph():
    """Return {path: the dotted names it imports} of all of chat/."""
    modules = {dotted(path) for path in sources()}
    return {
        path: imported(path.read_text(), dotted(path if path.name == "__init__.py" else path.parent), modules)
        for path in sources()
    }


def own(names):
    return {name for name in names if name.split(".")[0] == "chat"}


def test_every_module_has_its_group():
    assert {unit(dotted(path)) for path in sources()} == set(LAYER)


def test_imports_go_down_only(graph):
    wrong = [
        f"{dotted(path)} imports {name}"
        for path, names in graph.items()
        for name in own(names)
        if layer(name) > layer(dotted(path))
    ]
    assert not wrong


def test_no_module_imports_itself_in_a_circle(graph):
    TopologicalSorter({dotted(path): own(names) for path, names in graph.items()}).prepare()


def places(library):
    return PLACES["flask"] if library.startswith(FLASK_EXTENSIONS) else PLACES.get(library)


def test_each_foreign_library_has_its_place(graph):
    wrong = []
    for path, names in graph.items():
        here = {unit(dotted(path)), str(path.relative_to(CHAT))}
        for library in {name.split(".")[0] for name in names}:
            allowed = places(library)
            if allowed is not None and not here & allowed:
                wrong.append(f"{dotted(path)} imports {library}")
    assert not wrong


SAMPLE = """
import gevent.event
from . import codec
from .codec import encode
from ..names import clean
from chat.store import users
if TYPE_CHECKING:
    from .hub import Hub
else:
    import redis
def late():
    from sqlalchemy import select
    try:
        import flask_babel
    except ImportError:
        pass
"""


def test_imports_are_found_wherever_they_stand():
    modules = {"chat", "chat.names", "chat.store", "chat.store.codec", "chat.store.users"}
    assert imported(SAMPLE, "chat.store", modules) == {
        "gevent.event",
        "chat.store.codec",
        "chat.names",
        "chat.store.users",
        "redis",
        "sqlalchemy",
        "flask_babel",
    }
