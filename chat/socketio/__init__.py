"""Engine.IO 4 and Socket.IO 5, the server's side, on the chat's reactor; web/socketio_routes.py has the routes."""
