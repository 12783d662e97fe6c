"""Print what an app consists of, as JSON. A site's own Python runs it; the argument names the app as gunicorn does."""

import importlib
import json
import re
import sqlite3
import sys
import types
from pathlib import Path

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, type)


def load(spec):
    module, _, name = spec.partition(":")
    value = getattr(importlib.import_module(module), name.removesuffix("()"))
    return value() if name.endswith("()") else value


def described(values):
    """{name: what it is}: a function by its place, anything else by its type alone (some are proxies)."""
    return {
        str(name): f"{value.__module__}.{value.__qualname__}"
        if isinstance(value, FUNCTIONS)
        else type(value).__name__
        for name, value in values.items()
    }


def written(value):
    """A setting as text, without what differs from process to process and from venv to venv."""
    return re.sub("0x[0-9a-f]+", "", repr(value)).replace(sys.prefix, "")


def tables(path):
    with sqlite3.connect(path) as connection:
        return sorted(
            row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
        )


def databases():
    files = [path for path in Path.cwd().rglob("*") if path.suffix in {".db", ".sqlite", ".sqlite3"}]
    return {str(path.relative_to(Path.cwd())): tables(path) for path in sorted(files)}


def inspect(app):
    return {
        "globals": described(app.jinja_env.globals),
        "filters": described(app.jinja_env.filters),
        "jinja extensions": dict.fromkeys(app.jinja_env.extensions, ""),
        "routes": {
            f"{rule.rule} {sorted(rule.methods)} {rule.endpoint}": "" for rule in app.url_map.iter_rules()
        },
        "config": {key: written(value) for key, value in app.config.items()},
        "extensions": described(app.extensions),
        "commands": dict.fromkeys(app.cli.commands, ""),
        "databases": databases(),
    }


print(json.dumps(inspect(load(sys.argv[1]))))
