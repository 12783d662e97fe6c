"""Hooks for schemathesis: what it must know of the API beyond openapi.json. It loads this file by its path."""

import os

import schemathesis
from hypothesis import strategies as st

from chat.web.api.fields import MAX_QUERY, MAX_TITLE, MAX_TOPIC

# The formats of the document, which JSON Schema cannot express.
PRINTABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
FORMATS = {
    "title": st.text(PRINTABLE, max_size=MAX_TITLE - 1).map(lambda text: "t" + text.replace("/", "|")),
    "topic": st.text(PRINTABLE, max_size=MAX_TOPIC),
    "words": st.text(PRINTABLE, min_size=1, max_size=MAX_QUERY),
    "name": st.text(PRINTABLE, min_size=1, max_size=64),
}
for name, texts in FORMATS.items():
    schemathesis.openapi.format(name, texts)


@schemathesis.hook
def map_path_parameters(_context, parts):
    """Replace half of the generated rooms by an existing one; otherwise most requests would be answered with 404."""
    if parts and ord(str(parts.get("room", "x"))[0]) % 2:
        parts["room"] = "tea"
    return parts


@schemathesis.hook
def before_call(_context, case, _options):
    """Ask for existing objects: the document's examples cannot know bob's id on this server."""
    parts, query = case.path_parameters or {}, case.query or {}
    if parts.get("user_id") == "id-bob":
        parts["user_id"] = os.environ["BOB"]
    if case.operation.path == "/rooms/{room}/leave" and parts["room"] == "tea":
        parts["room"] = "den"  # in tea, the requesting user remains the owner
    # These parameters exclude each other, which OpenAPI cannot express.
    for side in [side for side in ("before", "after", "around") if side in query][1:]:
        del query[side]
