"""The reference site with a view that starts a drain; the worker continues to answer, as one that is about to stop."""

from app import create_app as create_site


def create_app():
    app = create_site()

    def drain():
        app.extensions["chat"].begin_drain()
        return "draining"

    app.add_url_rule("/drain", view_func=drain)
    return app
