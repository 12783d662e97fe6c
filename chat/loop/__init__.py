"""The event loop: one epoll, its drivers (gevent or threads), job queues and counters."""
