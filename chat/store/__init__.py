"""The database: users, rooms with their members and messages, Socket.IO sessions, the control table."""
