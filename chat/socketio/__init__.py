"""Engine.IO 4 and Socket.IO 5, the server's side, on the chat's own reactor; io_views.py has the Flask routes."""
