"""Run with a site's own Python: print what its app consists of, as JSON. The argument names the app as gunicorn does."""

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
        str(name): f"{value.__module__}.{value.__qualname__}" if isinstance(value, FUNCTIONS) else type(value).__name__
        for name, value in values.items()
    }


def tables(path):
    with sqlite3.connect(path) as connection:
        return sorted(row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))


def databases():
    files = [path for path in Path.cwd().rglob("*") if path.suffix in {".db", ".sqlite", ".sqlite3"}]
    return {str(path.relative_to(Path.cwd())): tables(path) for path in sorted(files)}


def inspect(app):
    return {
        "globals": described(app.jinja_env.globals),
        "filters": described(app.jinja_env.filters),
        "jinja extensions": {name: "" for name in app.jinja_env.extensions},
        "routes": {f"{rule.rule} {sorted(rule.methods)} {rule.endpoint}": "" for rule in app.url_map.iter_rules()},
        "config": {key: re.sub("0x[0-9a-f]+", "", repr(value)) for key, value in app.config.items()},
        "extensions": described(app.extensions),
        "commands": {name: "" for name in app.cli.commands},
        "databases": databases(),
    }


print(json.dumps(inspect(load(sys.argv[1]))))
