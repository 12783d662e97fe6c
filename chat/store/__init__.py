"""What outlives the process: users, and the table through which other processes reach a running server."""
