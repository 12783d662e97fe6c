"""The matrix's app for gevent's servers: wsgi.py patches before anything else is imported, and builds the app."""

from tests.matrix_app import extend
from wsgi import app

extend(app)
