"""The gevent entry: `gunicorn wsgi:app`, with gunicorn.conf.py beside it. It patches first, then builds the app.

`gunicorn -k gthread "app:create_app()"` and `flask --app app run` need no patching and do not come through here.
"""

from gevent import monkey

monkey.patch_all()

from app import create_app

app = create_app()
