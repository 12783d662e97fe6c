"""A site without a design of its own: the chat's widget on pages whose colours the address tells.

`/as/NAME` logs NAME in and shows a page: `?head=` is HTML for its head, `?theme=` the widget's.
"""

from __future__ import annotations

from flask import Flask, render_template_string, request, session

from chat import Chat, Identity

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>Shop</title>
<link rel="icon" href="data:,">{{ head|safe }}</head>
<body><h1>Tea shop</h1><p>Twenty kinds of tea, and somebody to ask.</p>
<a href="{{ url_for('chat.page') }}">Talk</a>{{ chat_widget(theme=theme) }}</body>
</html>
"""


def identity():
    name = session.get("name")
    return Identity(f"id-{name}", name) if name else None


def show(name):
    session["name"] = name
    return render_template_string(PAGE, head=request.args.get("head", ""), theme=request.args.get("theme"))


def create_app():
    app = Flask(__name__)
    app.config.update(SECRET_KEY="s" * 32, CHAT_SITE_NAME="Tea shop")
    app.add_url_rule("/as/<name>", "show", show)
    app.add_url_rule("/", "start", lambda: "Tea shop")
    Chat(app, identity_loader=identity)
    return app
