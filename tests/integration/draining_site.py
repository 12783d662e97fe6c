"""The reference site with one view more: told to drain, it goes on answering, as a worker does that is to stop."""

from app import create_app as create_site


def create_app():
    app = create_site()

    def drain():
        app.extensions["chat"].begin_drain()
        return "draining"

    app.add_url_rule("/drain", view_func=drain)
    return app
