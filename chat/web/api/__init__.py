"""The JSON API for pages and programs: rooms, members, history, search, unread counts. openapi.json describes it.

`routes.add_routes` adds it to the chat's blueprint.
"""

from .routes import add_routes

__all__ = ["add_routes"]
