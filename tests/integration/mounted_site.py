"""The reference site mounted at /shop, beside a front page of another application."""

from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from app import create_app as create_reference_app


def create_app():
    front = Flask("front")
    front.add_url_rule("/healthz", view_func=lambda: "ok")
    front.wsgi_app = DispatcherMiddleware(front.wsgi_app, {"/shop": create_reference_app()})
    return front
