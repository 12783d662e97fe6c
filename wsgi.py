"""The gevent entry point: `gunicorn wsgi:app`, with gunicorn.conf.py. Monkey-patches first, then creates the app.

`gunicorn -k gthread "app:create_app()"` and `flask --app app run` need no patching and do not import this module.
"""

from gevent import monkey

monkey.patch_all()

from app import create_app

app = create_app()
