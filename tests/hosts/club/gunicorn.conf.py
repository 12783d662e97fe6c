"""The site's own gunicorn configuration, with the chat's hooks."""

from flask_chat.gunicorn_hooks import on_starting, post_worker_init, worker_exit  # noqa: F401

control_socket_disable = True  # gunicorn knows this name from 25.1 on
